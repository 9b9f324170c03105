"""What is known of a run from its folder, kept up to date by looking at little of it: the growth of one file, the next name of another.

    poll ─┬─ metrics.jsonl   what grew ─> series, the newest lines, rewinds
          ├─ rollouts/       the next name ─> groups
          ├─ status.json     what it does now (small; a run of an older toolrl has none)
          └─ versions.json, summary.json   where they changed: attempts, whether it has ended

Memory is bounded whatever the length of the run. Nothing in the folder is changed, and no process is asked, so it may lie on any machine.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.monitor import readable
from toolrl.monitor.follow import MetricsFollower
from toolrl.monitor.lines import Line
from toolrl.monitor.status import STATUS, Status, read_status
from toolrl.monitor.trained import trained
from toolrl.pipelines.watching.groups import Groups
from toolrl.pipelines.watching.panels import metrics_of
from toolrl.pipelines.watching.series import Series

RECENT = 20
"""Newest lines over which times are averaged."""
REWINDS = 5
"""Rewinds that are remembered, of those seen while watching."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """The newest version before, and after."""

    version: int
    to: int


@dataclass
class Seen:
    """What the lines of metrics have shown so far."""

    series: dict[str, Series]
    lines: int = 0
    newest: Line = field(default_factory=dict)
    """The last line; empty where there is none."""
    heldout: Line = field(default_factory=dict)
    """The last line with a measurement on held-out prompts."""
    recent: deque[Line] = field(default_factory=lambda: deque(maxlen=RECENT))
    """The last lines of versions that were trained."""

    def take(self, line: Line) -> None:
        """Add a line."""
        self.lines += 1
        self.newest = line
        if any(name.startswith("heldout/") for name in line):
            self.heldout = line
        if line["version"] > 0:
            self.recent.append(line)
        for name, series in self.series.items():
            if (value := line.get(name)) is not None:
                series.add(line["version"], value)


class WatchedRun:
    """A run folder being looked at.

    Args:
        path: The folder.
        clock: Seconds from any origin, never going back.

    Raises:
        RunFolderError: It holds no run of `toolrl rl` or `toolrl sft`.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.kind, self.settings = trained(path)
        self.groups = Groups(path / "rollouts")
        self.rewinds: deque[Rewind] = deque(maxlen=REWINDS)
        self.attempts: list[dict[str, Any]] = []
        self.summary: dict[str, Any] | None = None
        self.status: Status | None = None
        self.troubles: dict[str, str] = {}
        """What cannot be read, by file."""
        self.changed: dict[str, float] = {}
        """When a small file was seen to change, by its name, on `clock`."""
        self._clock = clock
        self._follower = MetricsFollower(path / "metrics.jsonl")
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._forget()
        self.poll()

    @property
    def version(self) -> int | None:
        """The newest version that metrics tell of; None: not even the start was measured."""
        version: int | None = self.seen.newest.get("version")
        return version

    @property
    def steps(self) -> int:
        """The version at which it ends."""
        found = self.settings.get("run.steps") if self.status is None else self.status.steps
        return found if type(found) is int else 0

    def poll(self) -> None:
        """Look at what changed."""
        self._read(STATUS, self._read_status)
        self._read(readable.VERSIONS, self._read_attempts)
        self._read(readable.SUMMARY, self._read_summary)
        self._follow()
        self.groups.poll(self.version)

    def _follow(self) -> None:
        before = self.version
        with _Told(self.troubles, "metrics.jsonl"):
            replaced, lines = self._follower.poll()
            if replaced:
                self._forget()
            for line in lines:
                self.seen.take(line)
            if replaced and before is not None and (now := self.version or 0) < before:
                self.rewinds.append(Rewind(before, now))

    def _forget(self) -> None:
        self.seen = Seen({name: Series() for name in metrics_of(self.kind)})

    def _read(self, name: str, read: Callable[[], None]) -> None:
        """Read a small file again where it is another than it was."""
        with _Told(self.troubles, name):
            stamp = _stamp(self.path / name)
            if name not in self._stamps or stamp != self._stamps[name]:
                if name in self._stamps:
                    self.changed[name] = self._clock()
                read()
                self._stamps[name] = stamp  # one that could not be read is tried again

    def _read_status(self) -> None:
        self.status = read_status(self.path)

    def _read_attempts(self) -> None:
        self.attempts = readable.read_attempts(self.path / readable.VERSIONS)

    def _read_summary(self) -> None:
        self.summary = readable.read_summary(self.path / readable.SUMMARY)


class _Told:
    """Keeps what is wrong with a file, until it can be read: a view goes on without it."""

    def __init__(self, troubles: dict[str, str], name: str) -> None:
        self._troubles, self._name = troubles, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self._troubles.pop(self._name, None)
        if isinstance(error, RunFolderError | OSError):
            self._troubles[self._name] = str(error)
            return True
        return False


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what differs once a file was replaced or written; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
