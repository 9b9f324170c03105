"""What a plan is made of: terms of memory, the phases that they add up in, and what of them does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

FLOAT32 = 4
BYTES = {"bfloat16": 2, "float32": FLOAT32}
"""Bytes of an element by `model.dtype`."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the memory of a phase."""

    name: str
    num_bytes: float
    settings: tuple[str, ...] = ()
    """What to change so that it shrinks."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What is held at once, in the memory of one GPU or of one node."""

    where: str
    """As in `learner GPU`, `engine GPU`, `GPU`, `node`."""
    name: str
    capacity: float
    """Bytes."""
    terms: tuple[Term, ...] = field(default=())

    @property
    def used(self) -> float:
        """Bytes of all terms."""
        return sum(term.num_bytes for term in self.terms)

    @property
    def fits(self) -> bool:
        """Whether there is room."""
        return self.used <= self.capacity

    @property
    def largest(self) -> Term:
        """The term that takes most."""
        return max(self.terms, key=lambda term: term.num_bytes)


def some(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Return the terms that are not empty."""
    return tuple(term for term in terms if term.num_bytes > 0)


def total(terms: Iterable[Term]) -> float:
    """Return the bytes of terms."""
    return sum(term.num_bytes for term in terms)
