"""Every group of a run in a few numbers: what the browser of groups lists, filters and puts in order.

    rollouts/ ─ the columns without texts, version by version ─> GroupIndex ─ Wanted ─> rows, a page at a time

An index of a run in progress can be brought up to date: only files that are new, or others than before, are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum
from pathlib import Path
from typing import Any

from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.prompts import StoredPrompts
from toolrl.pipelines.reporting.record import Record

COLUMNS = ("draw", "attempt", "prompt_id", "reward", "reason", "num_tokens", "oldest_version", "trained", "seed")
NO_TOOL = "(no call)"
"""Stands for the tool of a prompt whose reference calls none."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group. Sequences are by sample."""

    version: int
    draw: int
    attempt: int
    prompt_id: str
    tools: tuple[str, ...]
    """Those that the reference calls, each once, or NO_TOOL."""
    rewards: tuple[float | None, ...]
    reasons: tuple[str, ...]
    tokens: tuple[int, ...]
    ages: tuple[int, ...]
    """Versions between the oldest weights that a completion was sampled with and those that it trained."""
    trained: bool
    kept: bool
    """Whether its texts are there."""

    @property
    def mean(self) -> float | None:
        """The mean of its rewards; None where none has one."""
        known = [reward for reward in self.rewards if reward is not None]
        return fsum(known) / len(known) if known else None

    def as_json(self) -> dict[str, Any]:
        """Return it as the page reads it."""
        return {
            "version": self.version,
            "draw": self.draw,
            "attempt": self.attempt,
            "prompt": self.prompt_id,
            "tools": self.tools,
            "rewards": [None if reward is None else round(reward, 4) for reward in self.rewards],
            "reasons": self.reasons,
            "tokens": self.tokens,
            "age": max(self.ages, default=0),
            "trained": self.trained,
            "kept": self.kept,
        }


ORDERS = ("newest", "oldest", "lowest", "highest")


@dataclass(frozen=True)
class Wanted:
    """What a person looks for; the page's own filter (groups.js) means the same by each word."""

    reason: str = ""
    """A completion has it."""
    low: float | None = None
    high: float | None = None
    """Bounds of the mean reward, both included; with either, groups without a reward are out."""
    first: int | None = None
    last: int | None = None
    """Versions, both included."""
    tool: str = ""
    prompt: str = ""
    """Part of the prompt's id."""
    same: str = ""
    """The prompt's whole id."""
    order: str = "newest"

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Wanted:
        """Read it from a query. Raises ConfigError where a word or a number is none."""
        try:
            low, high = (float(given[name]) if given.get(name) else None for name in ("low", "high"))
            first, last = (int(given[name]) if given.get(name) else None for name in ("first", "last"))
        except ValueError as error:
            raise ConfigError(f"low, high, first, last: {error}; give numbers") from error
        words = {name: given.get(name, "") for name in ("reason", "tool", "prompt", "same")}
        order = given.get("order") or "newest"
        if order not in ORDERS:
            raise ConfigError(f"order: got {order!r}; give one of {', '.join(ORDERS)}")
        return cls(low=low, high=high, first=first, last=last, order=order, **words)

    def takes(self, row: GroupRow) -> bool:
        """Whether it is one of those."""
        if (self.first is not None and row.version < self.first) or (self.last is not None and row.version > self.last):
            return False
        if (self.reason and self.reason not in row.reasons) or (self.tool and self.tool not in row.tools):
            return False
        if (self.same and row.prompt_id != self.same) or (self.prompt and self.prompt.lower() not in row.prompt_id.lower()):
            return False
        if self.low is None and self.high is None:
            return True
        mean = row.mean
        return mean is not None and (self.low is None or mean >= self.low) and (self.high is None or mean <= self.high)


class GroupIndex:
    """The groups of one run, in draw order. One thread at a time refreshes it; others may look at it meanwhile.

    Args:
        folder: rollouts/.
        prompts: Those of the run.

    Raises:
        RunFolderError: A file is damaged, or names a prompt that the run has not.
    """

    def __init__(self, folder: Path, prompts: StoredPrompts) -> None:
        self._folder, self.prompts = folder, prompts
        self._read: dict[int, tuple[tuple[int, int, int], tuple[GroupRow, ...]]] = {}
        self._tools: dict[str, tuple[str, ...]] = {}
        self.rows: Sequence[GroupRow] = ()
        self.refresh()

    def refresh(self) -> None:
        """Read the files that are not those of the last time."""
        found = {}
        for version, path in rollouts.files(self._folder).items():
            try:
                there = path.stat()
            except FileNotFoundError:  # a driver has just gone back over it
                continue
            mark = (there.st_ino, there.st_size, there.st_mtime_ns)
            before = self._read.get(version)
            found[version] = before if before is not None and before[0] == mark else (mark, tuple(self._rows(version, path)))
        self._read = found
        self.rows = [row for _, rows in found.values() for row in rows]

    def completions(self) -> int:
        """Return how many completions the groups have."""
        return sum(len(row.rewards) for row in self.rows)

    def named(self, version: int, draw: int) -> GroupRow:
        """Return one group. Raises ConfigError where the run has it not."""
        _, rows = self._read.get(version, (None, ()))
        found = next((row for row in rows if row.draw == draw), None)
        if found is None:
            raise ConfigError(f"version {version} has no draw {draw} (any more): a run that goes back over versions takes them out")
        return found

    def page(self, wanted: Wanted, start: int, count: int) -> tuple[list[GroupRow], int]:
        """Return `count` of the groups that are wanted, from the `start`-th on, and how many there are."""
        rows = [row for row in self.rows if wanted.takes(row)]
        return ordered(rows, wanted.order)[start : start + count], len(rows)

    def _rows(self, version: int, path: Path) -> Iterator[GroupRow]:
        table = rollouts.read_file(path, COLUMNS)
        columns = [table.column(name).to_pylist() for name in COLUMNS]
        for (draw, attempt, prompt_id), samples in groupby(zip(*columns, strict=True), key=lambda row: row[:3]):
            rewards, reasons, tokens, oldest, trained, seeds = zip(*(sample[3:] for sample in samples), strict=True)
            yield GroupRow(
                version=version,
                draw=draw,
                attempt=attempt,
                prompt_id=prompt_id,
                tools=self._called(prompt_id, path),
                rewards=rewards,
                reasons=tuple(map(_once, reasons)),
                tokens=tokens,
                ages=tuple(version - 1 - weights for weights in oldest),
                trained=trained[0],
                kept=seeds[0] is not None,
            )

    def _called(self, prompt_id: str, path: Path) -> tuple[str, ...]:
        if (known := self._tools.get(prompt_id)) is not None:
            return known
        try:
            reference = self.prompts[prompt_id].reference
        except KeyError:
            message = f"{path}: names the prompt {prompt_id!r}, which the run's prompts.parquet has not; put the run's own file back"
            raise RunFolderError(message) from None
        found = tuple(dict.fromkeys(call.name for call in reference)) or (NO_TOOL,)
        self._tools[prompt_id] = found
        return found


def index_of(record: Record) -> GroupIndex | None:
    """Return the groups of a run; None where it has no rollouts. Raises RunFolderError."""
    return None if record.prompts is None else GroupIndex(record.rollouts, record.prompts)


_WORDS: dict[str, str] = {}


def _once(word: str) -> str:
    """Return the one copy of a reason: there are a million of them in a run, and two dozen words."""
    return _WORDS.setdefault(word, word)


def ordered(rows: Sequence[GroupRow], order: str) -> list[GroupRow]:
    """Return groups in one of ORDERS; those without a reward come last where it is asked for."""
    if order in ("lowest", "highest"):
        sign = 1.0 if order == "lowest" else -1.0
        return sorted(rows, key=lambda row: (row.mean is None, sign * (row.mean or 0.0), row.draw))
    return sorted(rows, key=lambda row: row.draw, reverse=order == "newest")
