"""The groups of a run, the newest first, for one who walks through them: of a version only what a list shows is read, of one group all.

    rollouts/ ─ listed once, then asked for the next name ─> versions ─ a few of them in memory ─> GroupLine ─ one of them ─> its rows

A version that a rewind takes away is no longer there the next time it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from toolrl.monitor import rollouts
from toolrl.pipelines.review.explanation import COLUMNS
from toolrl.types import Reason

VERSIONS_KEPT = 8
"""Versions whose lists of groups are in memory."""
SCANNED = 200
"""Versions that one step looks through for a group that is wrong."""
LIGHT = ("draw", "sample", "trained", "prompt_id", "reward", "reason", "num_tokens")


@dataclass(frozen=True, slots=True, order=True)
class GroupKey:
    """Which group: the version it was read for, and its draw. The newest is the largest."""

    version: int
    draw: int


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group as a list shows it."""

    key: GroupKey
    prompt_id: str
    trained: bool
    rewards: tuple[float | None, ...]
    reasons: tuple[str, ...]
    tokens: int
    """Of all its completions."""

    @property
    def right(self) -> int:
        """Completions that are correct."""
        return sum(reason == Reason.CORRECT for reason in self.reasons)

    @property
    def first_wrong(self) -> int:
        """The first completion that is not correct; 0 where all are."""
        return next((i for i, reason in enumerate(self.reasons) if reason != Reason.CORRECT), 0)


class Groups:
    """The groups in `rollouts/` of a run.

    Args:
        folder: rollouts/; a run of `toolrl sft` has none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._list()

    def poll(self, metrics_version: int | None) -> bool:
        """Look for newer files, up to the version of the newest line of metrics at least; returns whether anything changed."""
        before = self._newest
        if before is not None and not self._path(before).is_file():
            self._list()
            return True
        expected = 0 if metrics_version is None else metrics_version
        if before is None or (expected > before + 1 and not self._path(before + 1).is_file()):
            if before is None or self._path(expected).is_file():
                self._list()
        else:
            while self._path(self._versions[-1] + 1).is_file():
                self._versions.append(self._versions[-1] + 1)
        return self._newest != before

    def newest(self, wrong_only: bool) -> GroupLine | None:
        """Return the newest group, None where there is none."""
        return next(self._walk(None, older=True, wrong_only=wrong_only), None)

    def step(self, key: GroupKey, *, older: bool, wrong_only: bool) -> GroupLine | None:
        """Return the next older or newer group, None where there is none within SCANNED versions."""
        return next(self._walk(key, older=older, wrong_only=wrong_only), None)

    def find(self, key: GroupKey) -> GroupLine | None:
        """Return a group, None where it is gone."""
        return next((line for line in self._of(key.version) if line.key == key), None)

    def around(self, key: GroupKey, count: int, *, wrong_only: bool) -> list[GroupLine]:
        """Return up to `count` groups with that of `key` among them, the newest first: a third of them newer where there are so many."""
        own = self.find(key)
        if own is None:
            return []
        newer = list(islice(self._walk(key, older=False, wrong_only=wrong_only), count // 3))
        older = list(islice(self._walk(key, older=True, wrong_only=wrong_only), count - 1 - len(newer)))
        return [*reversed(newer), own, *older]

    def samples(self, key: GroupKey) -> list[dict[str, Any]]:
        """Return the rows of a group, as `explanation` wants them, in order; none where it is gone. Raises RunFolderError."""
        path = self._path(key.version)
        if not path.is_file():
            return []
        found: list[dict[str, Any]] = rollouts.find_in(path, key.draw, COLUMNS).to_pylist()
        return sorted(found, key=lambda row: row["sample"])

    @property
    def _newest(self) -> int | None:
        return self._versions[-1] if self._versions else None

    def _list(self) -> None:
        self._versions = list(rollouts.files(self._folder))
        self._of: Callable[[int], list[GroupLine]] = lru_cache(VERSIONS_KEPT)(self._read)

    def _path(self, version: int) -> Path:
        return self._folder / rollouts.file_name(version)

    def _walk(self, key: GroupKey | None, *, older: bool, wrong_only: bool) -> Iterator[GroupLine]:
        versions = reversed(self._versions) if older else iter(self._versions)
        seen = 0
        for version in versions:
            if key is not None and (version > key.version if older else version < key.version):
                continue
            seen += 1
            if seen > SCANNED:
                return
            lines = self._of(version)
            for line in lines if older else reversed(lines):
                passed = key is not None and (line.key >= key if older else line.key <= key)
                if not passed and not (wrong_only and line.right == len(line.reasons)):
                    yield line

    def _read(self, version: int) -> list[GroupLine]:
        """Return the groups of a version, the newest draw first; none where a rewind has just taken it away. Raises RunFolderError."""
        path = self._path(version)
        if not path.is_file():
            return []
        table = rollouts.read_file(path, LIGHT).sort_by([("draw", "descending"), ("sample", "ascending")])
        draws = table.column("draw").combine_chunks().to_pylist()
        lines, start = [], 0
        for run in pc.run_end_encode(table.column("draw").combine_chunks()).run_ends.to_pylist():
            part = table.slice(start, run - start)
            of = {name: part.column(name).to_pylist() for name in LIGHT}
            lines.append(
                GroupLine(
                    key=GroupKey(version, draws[start]),
                    prompt_id=of["prompt_id"][0],
                    trained=of["trained"][0],
                    rewards=tuple(of["reward"]),
                    reasons=tuple(of["reason"]),
                    tokens=sum(of["num_tokens"]),
                )
            )
            start = run
        return lines
