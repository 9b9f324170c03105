"""Two models on the same items: who is right where the other is wrong, and whether that could be chance.

McNemar's exact test looks at the items on which exactly one is right: under the null hypothesis each is a coin's toss. The interval of the
difference comes from a paired bootstrap, so what both find easy or hard takes no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb

import numpy as np

from toolrl.evaluation.averages import RESAMPLES, interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Model `b` against model `a` on the items that both answered."""

    items: int
    a: float
    b: float
    """Shares that are right."""
    only_a: int
    only_b: int
    """Items on which one alone is right."""
    low: float
    high: float
    """Interval (95 %) of `b - a` by paired bootstrap."""
    p: float
    """Two-sided, exact (McNemar)."""

    @property
    def difference(self) -> float:
        """By how much `b` is ahead."""
        return self.b - self.a


def compare(a: Mapping[str, bool], b: Mapping[str, bool], *, seed: int = 0, resamples: int = RESAMPLES) -> Comparison | None:
    """Return the comparison over the ids that both have; None where they share none."""
    shared = [key for key in a if key in b]
    if not shared:
        return None
    n, only_a, only_b = len(shared), sum(a[k] and not b[k] for k in shared), sum(b[k] and not a[k] for k in shared)
    drawn = np.random.default_rng(seed).multinomial(n, [only_a / n, only_b / n, 1 - (only_a + only_b) / n], resamples)
    low, high = interval((drawn[:, 1] - drawn[:, 0]) / n)
    return Comparison(n, sum(a[k] for k in shared) / n, sum(b[k] for k in shared) / n, only_a, only_b, low, high, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p: twice the tail of Binomial(only_a + only_b, 1/2), at most 1.

    McNemar (1947), in the exact form of Liddell (1983).

    >>> mcnemar(1, 5)
    0.21875
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(comb(n, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**n))
