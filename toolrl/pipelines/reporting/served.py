"""Runs behind their page: what the browser asks for, read from the folders when it is asked.

    page ─> Records and indexes as they are now      groups?reason=… ─> rows, a page of them      group?version=…&draw=… ─> texts and diffs

Indexes hold a few numbers for each completion; texts are read from the Parquet file of their version, one draw at a time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor import rollouts
from toolrl.pipelines.reporting import detail
from toolrl.pipelines.reporting.blocks import as_json
from toolrl.pipelines.reporting.groups import GroupIndex, Wanted, index_of
from toolrl.pipelines.reporting.page import render
from toolrl.pipelines.reporting.record import Record, read_records

MOST_ROWS = 500
"""Of one answer."""
MOST_DIGITS = 18
"""Of a number in a query."""
FRESH_S = 2.0
"""How long a look at the folders is good for."""


class ServedRuns:
    """Answers for one or more runs.

    Args:
        paths: Their folders.

    Raises:
        RunFolderError: One is no run, or is damaged.
        ConfigError: One is named twice.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._lock = Lock()
        self.records: list[Record] = []
        self.indexes: list[GroupIndex | None] = [None] * len(paths)
        self._looked = time.monotonic()
        self._page: tuple[object, str] = (None, "")
        self.page()

    def page(self) -> str:
        """Return the page as the folders are now."""
        with self._lock:
            self._refresh()
            mark = [_mark(path) for path in self._paths]
            if self._page[0] != mark:
                self.records = read_records(self._paths)
                self.indexes = [index or index_of(record) for index, record in zip(self.indexes, self.records, strict=True)]
                self._page = (mark, render(self.records, self.indexes, None))
            return self._page[1]

    def groups(self, query: Mapping[str, str]) -> str:
        """Return a page of groups: {rows, total}. Raises ConfigError where the query is none."""
        with self._lock:
            self._refresh()
        start, count = _number(query, "start", 0), min(MOST_ROWS, _number(query, "count", MOST_ROWS))
        rows, total = self._run(query)[1].page(Wanted.of(query), start, count)
        return as_json({"rows": [row.as_json() for row in rows], "total": total})

    def row(self, query: Mapping[str, str]) -> str:
        """Return one group's line of the list. Raises ConfigError where there is none."""
        return as_json(self._run(query)[1].named(_number(query, "version"), _number(query, "draw")).as_json())

    def group(self, query: Mapping[str, str]) -> str:
        """Return one group with its texts and its prompt. Raises ConfigError where there is none, or RunFolderError."""
        record, index = self._run(query)
        row = index.named(_number(query, "version"), _number(query, "draw"))
        samples = rollouts.find_in(record.rollouts / rollouts.file_name(row.version), row.draw, detail.COLUMNS).to_pylist()
        if not samples:
            raise RunFolderError(f"{record.path}: version {row.version} has no draw {row.draw} any more; load the page again")
        prompt = index.prompts[row.prompt_id]
        return as_json({**detail.group_json(samples, prompt, detail.mode_of(record.settings)), "prompt": detail.prompt_json(prompt)})

    def _run(self, query: Mapping[str, str]) -> tuple[Record, GroupIndex]:
        number = _number(query, "run", 0)
        index = self.indexes[number] if number < len(self.indexes) else None
        if index is None:
            raise ConfigError(f"run: got {number}; this page has no groups of such a run")
        return self.records[number], index

    def _refresh(self) -> None:
        if time.monotonic() - self._looked > FRESH_S:
            for index in self.indexes:
                if index is not None:
                    index.refresh()
            self._looked = time.monotonic()


def _mark(path: Path) -> tuple[Any, ...]:
    """Return what changes when a run has written more of what the page shows."""
    files = (path / "metrics.jsonl", path / "rollouts", path / "summary.json", path / "versions.json", path / "discarded")
    return tuple((there.st_ino, there.st_size, there.st_mtime_ns) if (there := _stat(file)) else None for file in files)


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:  # what is wrong with it is told where it is read
        return None


def _number(query: Mapping[str, str], name: str, default: int | None = None) -> int:
    given = query.get(name, "" if default is None else str(default))
    if not given.isascii() or not given.isdigit() or len(given) > MOST_DIGITS:
        raise ConfigError(f"{name}: got {given[: 2 * MOST_DIGITS]!r}; give a whole number")
    return int(given)
