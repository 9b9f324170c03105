"""Averages over categories, each with its formula, item count and bootstrap interval: what a number in a table means.

    Average("Non-Live", parts=mean(simple, multiple, …)) ─ estimate(right items by category) ─> Estimate(value, low, high, items)

An item is right or wrong, so resampling the n items of a category with replacement makes its number of right ones Binomial(n, k / n):
that is what is drawn, category by category, and the formula is applied to each draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
"""Share of the resampled values inside an interval."""

Counts = Mapping[str, tuple[int, int]]
"""Category -> (right, items)."""


@dataclass(frozen=True, slots=True)
class Average:
    """A leaf counts each item of its categories once; a node is a weighted sum of other averages."""

    name: str
    categories: tuple[str, ...] = ()
    parts: tuple[tuple[float, Average], ...] = ()
    missing_is_zero: bool = False
    """Whether a part without items counts 0 (BFCL v4's overall) instead of leaving the whole without a value."""
    whole: bool = False
    """Whether a leaf has a value only where each of its categories has items."""

    @property
    def formula(self) -> str:
        """How it is computed, in words.

        >>> mean("both", Average("a", ("x", "y")), Average("b", ("z",))).formula
        'mean of a, b'
        >>> Average("a", ("x", "y")).formula
        'right ÷ items of x, y'
        """
        if not self.parts:
            return f"right ÷ items of {', '.join(self.categories)}"
        names = [part.name for _, part in self.parts]
        weights = {weight for weight, _ in self.parts}
        told = f"mean of {', '.join(names)}"
        if len(weights) > 1:
            told = " + ".join(f"{weight:g} × {part.name}" for weight, part in self.parts)
        return f"{told}; one that was not run counts 0" if self.missing_is_zero else told

    def leaves(self) -> Iterator[str]:
        """Yield the categories it rests on, each once for every time it enters."""
        yield from self.categories
        for _, part in self.parts:
            yield from part.leaves()


def mean(name: str, *parts: Average) -> Average:
    """Return the unweighted mean of other averages."""
    return Average(name, parts=tuple((1 / len(parts), part) for part in parts))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number as it may be quoted."""

    name: str
    formula: str
    items: int
    """Items it rests on."""
    value: float | None
    """From 0 to 1; None where a part of it was not run."""
    low: float | None
    high: float | None
    """Ends of the bootstrap interval (95 %, percentiles)."""
    missing: tuple[str, ...] = ()
    """Categories it needs that have no items here."""


def estimate(average: Average, counts: Counts, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Return the value of `average` and its interval; the same counts and seed give the same numbers.

    Args:
        average: What to compute.
        counts: Right items and all items of each category that was run.
        seed: Of the resampling.
        resamples: Draws.
    """
    needed = tuple(dict.fromkeys(average.leaves()))
    there = {name: counts[name] for name in needed if name in counts and counts[name][1]}
    missing = tuple(name for name in needed if name not in there)
    items = sum(n for _, n in there.values())
    value = _value(average, {name: (np.array([float(right)]), n) for name, (right, n) in there.items()})
    if value is None:
        return Estimate(average.name, average.formula, items, None, None, None, missing)
    random = np.random.default_rng(seed)
    drawn = {name: (random.binomial(n, right / n, resamples).astype(float), n) for name, (right, n) in there.items()}
    spread = _value(average, drawn)
    assert spread is not None
    low, high = interval(spread)
    return Estimate(average.name, average.formula, items, float(value[0]), low, high, missing)


def estimates(averages: Sequence[Average], counts: Counts) -> tuple[Estimate, ...]:
    """Return each average of `averages` that has any items at all."""
    found = (estimate(average, counts) for average in averages)
    return tuple(each for each in found if each.items)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentiles that hold `LEVEL` of `values` between them."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _value(average: Average, counts: Mapping[str, tuple[NDArray[np.float64], int]]) -> NDArray[np.float64] | None:
    """Return the average for each draw; None where a part it needs has no items."""
    if not average.parts:
        there = [counts[name] for name in average.categories if name in counts]
        if not there or (average.whole and len(there) < len(average.categories)):
            return None
        right: NDArray[np.float64] = np.sum([right for right, _ in there], axis=0)
        return right / float(sum(n for _, n in there))
    parts = [(weight, _value(part, counts)) for weight, part in average.parts]
    known = [weight * value for weight, value in parts if value is not None]
    if not known or (len(known) < len(parts) and not average.missing_is_zero):
        return None
    total: NDArray[np.float64] = np.sum(known, axis=0)
    return total
