"""What an audit has found: problems, each in one line with where it is, and what is not finished, which is none.

A check that finds the same thing all over tells the first ones and counts the rest, so that a broken run of any length fits in memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

KEPT = 100
"""Problems of a kind that are told; the others are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be in the folder of a run that lost nothing and counted nothing twice."""

    kind: str
    message: str
    version: int | None = None
    draw: int | None = None


class Findings:
    """Grows while the files are read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        """Problems by kind, those that are not told included."""
        self.unfinished: list[str] = []
        """What lies ahead of the last checkpoint, or was being written."""

    def problem(self, kind: str, message: str, *, version: int | None = None, draw: int | None = None) -> None:
        """Add a problem; the message begins with where it is."""
        self.counts[kind] += 1
        if self.counts[kind] <= KEPT:
            self.problems.append(Problem(kind, message, version, draw))
