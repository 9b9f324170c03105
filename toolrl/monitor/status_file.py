"""The writer of status.json: a thread of the driver that looks at what it does every second, and at once where it is told of a change.

    driver ─ changed() ─> wake ─┐
                                ├─> look() ─> status.json          never more than MOST_PER_S times a second
    thread ─ every EVERY_S ─────┘

Nothing waits for it: a disk that is slow, full or gone costs the driver nothing, nor does a look that fails, which is told once in the log;
the file is written again once it can be. On a full disk the blocks that the file has are written over, so that even then it says how the
run ended. It is not synced: after a power cut it may be gone or empty, and nothing needs it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from toolrl.monitor.durable import aside_of
from toolrl.monitor.status import Status

EVERY_S = 1.0
MOST_PER_S = 2.0
END_S = 2.0
"""Longest wait for the last line of a run, on a file system that may answer nobody."""

logger = logging.getLogger(__name__)


class StatusFile:
    """Writes what `look` returns until it is closed; `look` is called in a thread of its own.

    Args:
        path: The file.
        look: Returns what the driver does now.
        every_s: Longest time between two looks.
    """

    def __init__(self, path: Path, look: Callable[[], Status], every_s: float = EVERY_S) -> None:
        self._path, self._look, self._every_s = path, look, every_s
        self._wake, self._closed = threading.Event(), threading.Event()
        self._told = False
        self._write()  # here, so that a disk that is full from now on has its blocks already
        self._thread = threading.Thread(target=self._work, name="status", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Have it written soon."""
        self._wake.set()

    def close(self) -> None:
        """Write a last time, and end. Returns in any case, after `END_S` at most."""
        self._closed.set()
        self._wake.set()
        self._thread.join(END_S)

    def _work(self) -> None:
        while not self._closed.wait(1 / MOST_PER_S):
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        try:
            text = json.dumps(msgspec.to_builtins(self._look())) + "\n"
        except Exception:  # whatever it is, the run goes on, and the next look may be a better one
            if not self._told:
                logger.exception("%s: not written", self._path)
                self._told = True
            return
        try:
            _replace(self._path, text)
        except OSError:  # full, read-only or gone: the run itself will say so where it matters
            _over(self._path, text)


def _replace(path: Path, text: str) -> None:
    """Replace the file in one moment, without waiting for the disk."""
    aside = aside_of(path)
    try:
        aside.write_text(text, encoding="utf-8")
        aside.rename(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _over(path: Path, text: str) -> None:
    """Write over the blocks that the file has already, as far as they reach; a reader at this very moment may see half of it."""
    try:
        with path.open("r+b") as file:
            data, there = text.encode(), os.fstat(file.fileno())
            if len(data) <= max(there.st_blocks * 512, there.st_size):
                file.write(data)
                file.truncate()
    except OSError:  # nothing can be told
        return
