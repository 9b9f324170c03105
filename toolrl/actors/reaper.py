"""Leaves no process of a local cluster behind, however the driver ends: normally, by Ctrl-C, or by kill -9.

    driver ── pipe ──> this file, as a process: until the pipe ends it remembers who belongs to the cluster;
                       then it lets the cluster end by itself, kills what is left, and removes their folder

Semaphores in shared memory go too. Python's resource trackers, which unlink those of processes that are gone, get to see that they are
before they are killed; but Ray kills the trackers of its workers with them, so it is remembered here who had which mapped.

Ray's own agents look for their cluster for a minute after it is gone, and an engine's children may not notice that it is. A process
belongs to the cluster if its environment has a mark, which descendants of the driver inherit, or if its parent belongs to it. The mark
alone would not do: a process that sets its title (Ray's agents do) writes it over its environment, the mark with it.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "TOOLRL_CLUSTER"
GRACE_S = 2.0
"""How long the processes may take to end by themselves."""
TIDY_S = 2.0
"""How long Python's trackers may then take to unlink what the killed have left in shared memory."""
_TRACKER = b"\0from multiprocessing.resource_tracker import main;"
SHARED_S = 5.0
"""How often it looks which semaphores they have."""
_SHARED = Path("/dev/shm")
_SEMAPHORE = re.compile(rb" (\d+) +/dev/shm/sem\.")
"""The inode of one that is mapped; its name there is one that it had for a moment only, see sem_open(3) of glibc."""
WATCH_S = 0.5
"""How often it looks who has joined while the driver lives."""
_POLL_S = 0.1


@contextmanager
def reaped(folder: Path | None = None) -> Iterator[None]:
    """Run a body whose processes do not outlive it, nor this process, by more than a few seconds; nor does `folder`."""
    mark = uuid.uuid4().hex
    command = [sys.executable, "-SP", __file__, mark, *([str(folder)] if folder else [])]
    reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    outer = os.environ.get(MARK)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        os.environ.pop(MARK)
        os.environ.update({} if outer is None else {MARK: outer})
        if reaper.stdin is not None:
            reaper.stdin.close()
        reaper.wait()


class Kin:
    """Every process of a cluster, remembered by number and start time once it was seen."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        self._known: dict[int, str] = {}
        """Start time by process."""

    def alive(self) -> list[int]:
        """Look around; return those that run."""
        running = {pid: stat for pid, stat in _running().items() if pid != os.getpid()}
        self._known = {pid: start for pid, start in self._known.items() if pid in running and running[pid][1] == start}
        strangers = running.keys() - self._known.keys()
        found = {pid for pid in strangers if self._is_marked(pid)}
        while found:
            self._known |= {pid: running[pid][1] for pid in found}
            strangers -= found
            found = {pid for pid in strangers if running[pid][0] in self._known}
        return list(self._known)

    def semaphores(self) -> set[int]:
        """Return the semaphores that those seen last have mapped, by inode."""
        return {inode for pid in self._known for inode in _semaphores(pid)}

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile, or is another user's
            return False


def _running() -> dict[int, tuple[int, str]]:
    """Return parent and start time (clock ticks since boot) of every process that is not a zombie; see proc(5)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, *rest = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent), rest[17]
    return found


def _semaphores(pid: int) -> list[int]:
    try:
        return [int(inode) for inode in _SEMAPHORE.findall(Path(f"/proc/{pid}/maps").read_bytes())]
    except OSError:  # it has ended meanwhile, or is another user's
        return []


def _is_tracker(pid: int) -> bool:
    try:
        return _TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False


def reap(mark: str) -> None:
    """Watch until standard input ends, then see to it that no process of the cluster is left."""
    kin, semaphores, looked = Kin(mark), set[int](), 0.0
    while not select.select([sys.stdin], [], [], WATCH_S)[0]:
        kin.alive()
        if time.monotonic() > looked + SHARED_S:
            semaphores |= kin.semaphores()
            looked = time.monotonic()
    kin.alive()
    semaphores |= kin.semaphores()
    end = time.monotonic() + GRACE_S
    while kin.alive() and time.monotonic() < end:
        time.sleep(_POLL_S)
    end = time.monotonic() + TIDY_S
    while left := kin.alive():  # again and again: one may have been born while others were killed
        for pid in left:
            if _is_tracker(pid) and time.monotonic() < end:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it has ended meanwhile
                continue
        time.sleep(_POLL_S)
    left_alone = {inode for pid in _running() for inode in _semaphores(pid)} if semaphores else set()
    for entry in os.scandir(_SHARED):
        if entry.name.startswith("sem.mp-") and entry.inode() in semaphores - left_alone:
            Path(entry).unlink(missing_ok=True)


if __name__ == "__main__":
    reap(sys.argv[1])
    for left in sys.argv[2:]:
        shutil.rmtree(left, ignore_errors=True)
