"""kuberay.yaml, filled in for a job; settings of one's own travel with it as a ConfigMap."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from toolrl.errors import ConfigError
from toolrl.pipelines.launching.job import Job, own_files
from toolrl.pipelines.launching.template import filled, template

WORK = "/work"
"""Where every pod has the common volume."""
_SETTINGS = "/etc/toolrl"
_LONGEST_NAME = 40
"""KubeRay makes longer names from that of a RayJob, of at most 63 letters."""


def sees(path: str) -> bool:
    """Whether every pod has a path: one on the common volume, or something that is no path of a machine."""
    return not path.startswith("/") or Path(path).is_relative_to(WORK)


def manifest(job: Job) -> str:
    """Return the RayJob of a job. Raises ConfigError where it cannot be said in one."""
    own = own_files(job)
    words = [f"{_SETTINGS}/{path.name}" if (path := _own(each, own)) else each for each in job.order.settings]
    _require_plain(words)
    machines = job.machines
    gpus = f", nvidia.com/gpu: {machines.gpus}" if machines.gpus else ""
    workers = machines.nodes - 1
    name = re.sub(r"[^a-z0-9]+", "-", job.name.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "toolrl"
    lines: dict[str, str | None] = {
        "name: toolrl": f"name: {name}",
        "entrypoint: ": f"entrypoint: toolrl {job.order.command} {' '.join(words)} cluster.address=auto",
        "env_vars: ": f'env_vars: {{RAY_JOB_STOP_WAIT_TIME_S: "{job.stop_s}"}}',
        "terminationGracePeriodSeconds: ": f"terminationGracePeriodSeconds: {job.stop_s}",
        "requests: ": f"requests: {{cpu: {machines.cpus}}}",
        "limits: ": f"limits: {{cpu: {machines.cpus}{gpus}}}",
        **{f"{each}: ": f"{each}: {workers}" for each in ("replicas", "minReplicas", "maxReplicas")},
    }
    if job.order.image is not None:
        lines["image: "] = f"image: {job.order.image}"
    text = filled(template("kuberay.yaml"), lines)
    if job.network:
        text = _after(text, "env:", [f'- {{name: {key}, value: "{value}"}}' for key, value in job.network.items()], instead=1)
    if job.limit_s is not None:
        text = text.replace("  backoffLimit: ", f"  activeDeadlineSeconds: {job.limit_s}\n  backoffLimit: ")
    return _with_settings(text, f"{name}-settings", own) if own else text


def _own(setting: str, own: Sequence[Path]) -> Path | None:
    return next((path for path in own if str(path) == str(Path(setting)) and Path(setting).is_file()), None)


def _require_plain(words: Sequence[str]) -> None:
    """Raise ConfigError where a word is not the same to every shell: KubeRay puts the entrypoint into one."""
    if odd := [word for word in words if shlex.quote(word) != word]:
        raise ConfigError(
            [
                f"{word}: a shell reads that otherwise, and KubeRay hands the command to one; write it into a file of settings"
                for word in odd
            ]
        )


def _with_settings(text: str, name: str, own: Sequence[Path]) -> str:
    if twice := sorted({path.name for path in own if sum(other.name == path.name for other in own) > 1}):
        raise ConfigError(f"{twice[0]}: two files of settings of that name; rename one, since they travel in one folder")
    text = _after(text, "volumeMounts:", [f"- {{name: settings, mountPath: {_SETTINGS}, readOnly: true}}"])
    text = _after(text, "volumes:", ["- name: settings", f"  configMap: {{name: {name}}}"])
    head = ["---", "apiVersion: v1", "kind: ConfigMap", "metadata:", f"  name: {name}", "data:"]
    for path in own:
        head += [f"  {path.name}: |", *(f"    {line}".rstrip() for line in path.read_text(encoding="utf-8").splitlines())]
    return "\n".join([text.rstrip(), *head, ""])


def _after(text: str, beginning: str, items: Sequence[str], *, instead: int = 0) -> str:
    """Put lines after the one that begins so, at its indent, in place of the `instead` lines that follow it."""
    lines = text.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.strip().partition(" #")[0] == beginning]
    indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
    return "\n".join([*lines[: at + 1], *(indent + item for item in items), *lines[at + 1 + instead :], ""])
