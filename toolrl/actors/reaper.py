"""Leaves no process of a local cluster behind, however the driver ends: normally, by Ctrl-C, or by kill -9.

    driver ── pipe ──> this file, as a process: waits for the pipe to end, lets the cluster end by itself, then kills what is left

Ray's own agents look for their cluster for a minute after it is gone, and an engine's children may not notice that it is. Processes are
known by a mark in their environment, which every descendant of the driver inherits.
"""

from __future__ import annotations

import os
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
_POLL_S = 0.1


@contextmanager
def reaped() -> Iterator[None]:
    """Run a body whose processes do not outlive it, nor this process, by more than a few seconds."""
    mark = uuid.uuid4().hex
    reaper = subprocess.Popen([sys.executable, "-SP", __file__, mark], stdin=subprocess.PIPE, start_new_session=True)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        del os.environ[MARK]
        if reaper.stdin is not None:
            reaper.stdin.close()
        reaper.wait()


def marked(mark: str) -> list[int]:
    """Return the processes whose environment has the mark."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile, or is another user's
            continue
    return found


def reap(mark: str) -> None:
    """Wait for standard input to end, then see to it that no marked process is left."""
    sys.stdin.buffer.read()
    end = time.monotonic() + GRACE_S
    while marked(mark) and time.monotonic() < end:
        time.sleep(_POLL_S)
    while left := marked(mark):  # again and again: one may have been born while others were killed
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it has ended meanwhile
                continue
        time.sleep(_POLL_S)


if __name__ == "__main__":
    reap(sys.argv[1])
