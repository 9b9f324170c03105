"""kuberay.yaml, filled in for a job; settings of one's own travel with it as a ConfigMap."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from toolrl.errors import ConfigError
from toolrl.pipelines.launching.job import Job, own_files
from toolrl.pipelines.launching.template import filled, template

WORK = "/work"
"""Where every pod has the common volume."""
_SETTINGS = "/etc/toolrl"
_LONGEST_NAME = 30
"""KubeRay takes names of 47 letters; 16 of them say when it was made, so that the job of an earlier start is not in the way."""
_IMAGE = re.compile(r"[A-Za-z0-9][\w.:/@-]*", re.ASCII)


def sees(path: str) -> bool:
    """Whether every pod has a path: one on the common volume, or something that is no path of a machine."""
    return not path.startswith("/") or Path(path).is_relative_to(WORK)


def manifest(job: Job) -> str:
    """Return the RayJob of a job. Raises ConfigError where it cannot be said in one."""
    own = own_files(job)
    words = [f"{_SETTINGS}/{Path(each).name}" if Path(each) in own else each for each in job.order.settings]
    _require_plain(words)
    if job.order.image is not None and not _IMAGE.fullmatch(job.order.image):
        raise ConfigError(f"--image: got {job.order.image!r}; give a name as in registry.example.org/toolrl:0.1.0")
    machines = job.machines
    gpus = f", nvidia.com/gpu: {machines.gpus}" if machines.gpus else ""
    workers = machines.nodes - 1
    name = re.sub(r"[^a-z0-9]+", "-", job.name.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "toolrl"
    name += time.strftime("-%Y%m%d-%H%M%S")
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
    first = ["apiVersion: v1", "kind: ConfigMap", "metadata:", f"  name: {name}", "data:"]  # no job waits for what was refused
    for path in own:
        first += [f"  '{path.name}': |2", *(f"    {line}".rstrip() for line in path.read_text(encoding="utf-8").splitlines())]
    return "\n".join([*first, "---", text])


def _after(text: str, beginning: str, items: Sequence[str], *, instead: int = 0) -> str:
    """Put lines after the one that begins so, at its indent, in place of the `instead` lines that follow it."""
    lines = text.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.strip().partition(" #")[0] == beginning]
    indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
    return "\n".join([*lines[: at + 1], *(indent + item for item in items), *lines[at + 1 + instead :], ""])
