"""Processes of this machine, as the kernel and py-spy tell of them: are they there, do they run, and what are they at.

pid ─ /proc ─> running | waiting for a disk | stopped | gone      + children      ─ py-spy dump ─> Python's stack
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

STACK_S = 15.0
"""Longest wait for py-spy."""
MOST_FRAMES = 8
_STOPPED = {psutil.STATUS_STOPPED: "stopped by a signal", psutil.STATUS_TRACING_STOP: "stopped by a debugger"}
_WORDS = _STOPPED | {psutil.STATUS_DISK_SLEEP: "waiting for a disk or device"}


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is there."""

    pid: int
    state: str
    """In a word of psutil's."""
    command: str

    @property
    def stopped(self) -> bool:
        """Whether it does nothing until a signal lets it go on."""
        return self.state in _STOPPED

    @property
    def how(self) -> str:
        """In words."""
        return _WORDS.get(self.state, "running")

    @property
    def short(self) -> str:
        """Its command, as a person would call it."""
        return self.command[:60]


def process(pid: int, *, before: float) -> Process | None:
    """Return a process that began before a time (seconds since 1970); None: it is gone, and the number may be another's by now."""
    try:
        found = psutil.Process(pid)
        state, command = found.status(), " ".join(found.cmdline()).strip() or found.name()
        if found.create_time() > before + 2 or state == psutil.STATUS_ZOMBIE:  # the boot time is told in whole seconds
            return None
    except psutil.Error:
        return None
    return Process(pid, state, command)


def children(pid: int) -> list[int]:
    """Return the processes that `pid` made, and those that they made."""
    try:
        return [each.pid for each in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:  # it has ended meanwhile
        return []


def stack(found: Process) -> tuple[str, ...]:
    """Return what a Python process is at, the innermost frames of its main thread first; or why that cannot be told."""
    tool = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    command = [tool, "dump", "--pid", str(found.pid), *(["--nonblocking"] if found.stopped else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STACK_S, check=False)
    except FileNotFoundError:
        return ("no stack: py-spy is not installed",)
    except subprocess.TimeoutExpired:
        return (f"no stack: py-spy had none after {STACK_S:g} s",)
    if done.returncode:
        return (f"no stack: py-spy may not look at process {found.pid}: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}",)
    threads = [block.splitlines() for block in done.stdout.split("\nThread ")[1:]]
    main = next((lines for lines in threads if "MainThread" in lines[0]), threads[0] if threads else [])
    return tuple(line.strip() for line in main[1 : MOST_FRAMES + 1]) or ("no stack: it runs no Python",)
