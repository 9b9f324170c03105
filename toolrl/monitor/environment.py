"""What a run ran on: versions of Python, of packages, and of the source; GPUs."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

GIT_TIMEOUT_S = 10.0
_NVIDIA = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU of this machine."""


@cache
def versions() -> dict[str, Any]:
    """Return the versions that may change a result, all JSON."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "git": git_commit(Path(__file__).parents[2]),
        "packages": dict(sorted({d.name: d.version for d in distributions() if d.name}.items())),
    }


def git_commit(root: Path) -> str | None:
    """Return the commit of the source at `root`, with `+changes` where it was edited; None where it is not a checkout of its own."""
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):  # no git here, or not a repository it reads: the run does not depend on it
        return None


def count_gpus() -> int:
    """Return how many NVIDIA GPUs the kernel knows: without torch, and before anything starts."""
    return len(list(_NVIDIA.glob("*")))


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S).stdout.strip()
