"""Which predicted call answers which reference call, and the fault a person would name.

Order is free, so the calls are the two sides of a bipartite graph whose edges are fits. A maximum matching decides; the
calls it leaves over are paired by closeness, and the first such pair is explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from toolrl.calls.fault import Difference, Fault
from toolrl.types import Reason

P = TypeVar("P")
R = TypeVar("R")
Differ = Callable[[P, R], Iterable[Difference]]
Fits = Callable[[P, R], bool]

MAX_DIFFERENCES = 16
"""Differences of two calls that are counted to tell which are the most alike; a model may invent any number."""


def match_calls(predicted: Sequence[P], reference: Sequence[R], differ: Differ[P, R], fits: Fits[P, R] | None = None) -> Fault | None:
    """Return None where each predicted call fits a reference call of its own and none is left over, else what is wrong.

    `differ` yields the differences of a predicted call from a reference call, none where it fits; their paths begin
    inside the call; `fits` may be given as a quicker way to say that there are none. The path of the result counts the
    predicted calls, or says `reference[j]`.
    """
    pairs = _Pairs(predicted, reference, differ, fits)
    if pairs.fit_in_order():  # most answers keep the reference's order: no need of all the pairs
        return None
    partners = maximum_matching(pairs.fit, len(predicted), len(reference))
    taken = {j for j in partners if j is not None}
    left = [i for i, j in enumerate(partners) if j is None]
    missing = [j for j in range(len(reference)) if j not in taken]
    return _explained(pairs, left, missing) if left or missing else None


def all_fit(predicted: Sequence[P], reference: Sequence[R], fits: Fits[P, R]) -> bool:
    """Whether each predicted call fits a reference call of its own and none is left over."""
    if len(predicted) != len(reference):
        return False
    matching = _Matching(lambda i, j: fits(predicted[i], reference[j]), len(reference))
    return all(matching.add(left) for left in range(len(predicted)))


def maximum_matching(fit: Callable[[int, int], bool], num_left: int, num_right: int) -> list[int | None]:
    """Return for each left node its right partner or None, as many partners as can be."""
    matching = _Matching(fit, num_right)
    for left in range(num_left):
        matching.add(left)
    partners: list[int | None] = [None] * num_left
    for right, owner in enumerate(matching.owners):
        if owner is not None:
            partners[owner] = right
    return partners


class _Matching:
    """A matching that grows by one left node at a time (augmenting paths, Kuhn 1955)."""

    def __init__(self, fit: Callable[[int, int], bool], num_right: int) -> None:
        self._fit = fit
        self.owners: list[int | None] = [None] * num_right

    def add(self, left: int) -> bool:
        """Give `left` a partner if one can be found; partners of others may change, but none is lost."""
        return self._augment(left, set())

    def _augment(self, left: int, tried: set[int]) -> bool:
        own_place = (left,) if left < len(self.owners) else ()  # most answers keep the reference's order
        for right in (*own_place, *(right for right in range(len(self.owners)) if right != left)):
            if right not in tried and self._fit(left, right):
                tried.add(right)
                if (owner := self.owners[right]) is None or self._augment(owner, tried):
                    self.owners[right] = left
                    return True
        return False


class _Pairs(Generic[P, R]):
    """The differences of every pair of calls; the first of each is found when it is asked for, and once."""

    def __init__(self, predicted: Sequence[P], reference: Sequence[R], differ: Differ[P, R], fits: Fits[P, R] | None = None) -> None:
        self.predicted, self.reference, self._differ, self._fits = predicted, reference, differ, fits
        self._firsts: dict[tuple[int, int], Difference | None] = {}

    def first(self, i: int, j: int) -> Difference | None:
        """Return the first difference of predicted call `i` from reference call `j`, or None where it fits."""
        pair = (i, j)
        if pair not in self._firsts:
            self._firsts[pair] = next(iter(self._differ(self.predicted[i], self.reference[j])), None)
        return self._firsts[pair]

    def fit(self, i: int, j: int) -> bool:
        """Whether predicted call `i` fits reference call `j`."""
        return self.first(i, j) is None if self._fits is None else self._fits(self.predicted[i], self.reference[j])

    def fit_in_order(self) -> bool:
        """Whether the calls fit as they stand."""
        return len(self.predicted) == len(self.reference) and all(self.fit(i, i) for i in range(len(self.predicted)))

    def differences(self, i: int, j: int) -> list[Difference]:
        """Return the differences of two calls, as many as are counted."""
        return list(islice(self._differ(self.predicted[i], self.reference[j]), MAX_DIFFERENCES))


def _explained(pairs: _Pairs[P, R], left: Sequence[int], missing: Sequence[int]) -> Fault:
    """Explain the first of the predicted calls `left` over, beside the one most alike of the reference calls `missing`."""
    if len(left) == len(missing) == 1 and (only := pairs.first(left[0], missing[0])) is not None:
        return only.told(f"[{left[0]}]")
    differences = {(i, j): pairs.differences(i, j) for i in left for j in missing}
    nearest = _closest(differences)
    predicted, reference = len(pairs.predicted), len(pairs.reference)
    if predicted != reference:
        paired = set(nearest.values())
        surplus = [f"[{i}]" for i in left if i not in nearest] or [f"reference[{j}]" for j in missing if j not in paired]
        return Fault(Reason.WRONG_COUNT, surplus[0], _counted(reference), _counted(predicted))
    i, j = min(nearest.items())
    return differences[i, j][0].told(f"[{i}]")


def _closest(differences: Mapping[tuple[int, int], Sequence[Difference]]) -> dict[int, int]:
    """Pair the calls left over, the most alike first: the same name before another, then by the number of differences."""

    def distance(pair: tuple[int, int]) -> tuple[bool, int]:
        found = differences[pair]
        return found[0].reason is Reason.WRONG_NAME, len(found)

    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for i, j in sorted(differences, key=distance):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def _counted(number: int) -> str:
    return f"{number} call" if number == 1 else f"{number} calls"
