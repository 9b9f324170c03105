"""Processes of this machine, as the kernel and py-spy tell of them: are they there, do they run, and what are they at.

pid ─ /proc ─> running | waiting for a disk | stopped | gone      + children      ─ py-spy dump ─> Python's stack
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

STACK_S = 15.0
"""Longest wait for py-spy."""
MOST_FRAMES = 8
_WORDS = {"T": "stopped by a signal", "t": "stopped by a debugger", "D": "waiting for a disk or device", "Z": "ended, and not collected"}


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is there."""

    pid: int
    state: str
    """A letter; see proc(5)."""
    started: float
    """Seconds since 1970."""
    command: str

    @property
    def stopped(self) -> bool:
        """Whether it does nothing until a signal lets it go on."""
        return self.state in "Tt"

    @property
    def how(self) -> str:
        """In words."""
        return _WORDS.get(self.state, "running")

    @property
    def short(self) -> str:
        """Its command, as a person would call it."""
        return self.command[:60] or f"process {self.pid}"


def process(pid: int, *, before: float) -> Process | None:
    """Return a process that began before a time (seconds since 1970); None: it is gone, and the number may be another's by now."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    values = rest.split()
    started = _boot() + int(values[19]) / os.sysconf("SC_CLK_TCK")
    if started > before + 2 or values[0] == "Z":  # the boot time is told in whole seconds
        return None
    return Process(pid, values[0], started, command or name.partition("(")[2])


def children(pid: int) -> list[int]:
    """Return the processes that `pid` made, and those that they made."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended meanwhile
        return []
    found = []
    for thread in threads:
        try:
            numbers = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        except OSError:  # the thread has ended meanwhile
            continue
        for child in map(int, numbers):
            found += [child, *children(child)]
    return found


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


def _boot() -> float:
    """Return when this machine was started (seconds since 1970)."""
    (line,) = (line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return float(line.split()[1])
