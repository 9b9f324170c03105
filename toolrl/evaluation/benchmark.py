"""What a benchmark is: items to answer, our verdict on an answer, the official one beside it, and the averages people quote.

items ─> answers (text) ─┬─ verdict  (ours, in process)                        ─┐
└─ official (upstream's own code, in its own process) ─┴─> Outcomes ─ averages ─> Estimates
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from toolrl.evaluation.averages import Average
from toolrl.types import Prompt, Verdict


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark."""

    id: str
    category: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Official:
    """What upstream's own rules say."""

    right: Mapping[str, bool] = field(default_factory=dict)
    """Item id -> verdict, for the items that were judged."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Category -> accuracy as upstream's program reports it, where it reports one."""
    not_run: str = ""
    """Why there is none, and what to do; empty where there is."""
    note: str = ""
    """Whose program or rules these are where that is not plain, and what they could not judge."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An item, the answer to it, and what is said of that."""

    item: Item
    text: str
    ours: Verdict
    official: bool | None
    """None: not judged."""


@dataclass(frozen=True, slots=True)
class Known:
    """An item or a row that cannot be passed as it stands, and why."""

    id: str
    why: str


class Benchmark(Protocol):
    """A benchmark, read and ready."""

    name: str
    """As `toolrl evaluate` takes it."""
    title: str
    """For people."""

    @property
    def items(self) -> Sequence[Item]:
        """Every item, in the order of its files; ids are unique."""
        ...

    @property
    def averages(self) -> Sequence[Average]:
        """What is reported, in order; categories first, the totals last."""
        ...

    @property
    def known(self) -> Sequence[Known]:
        """Items that no answer can pass under one of the two rules, or whose label contradicts itself."""
        ...

    def verdict(self, item: Item, text: str) -> Verdict:
        """Our verdict on a completion. Pure and total: no text raises."""
        ...

    def official(self, answers: Mapping[str, str], folder: Path) -> Official:
        """Let upstream's own rules judge completions by item id; `folder` is for its files. Blocking. Raises RunError, or UserError."""
        ...
