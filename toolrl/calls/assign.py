"""Which predicted call answers which reference call, and the fault a person would name.

Order is free, so the calls are the two sides of a bipartite graph whose edges are fits. A maximum matching decides; the
calls it leaves over are paired by closeness, and the first such pair is explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from toolrl.calls.fault import Difference, Fault
from toolrl.types import Reason

P = TypeVar("P")
R = TypeVar("R")
Differ = Callable[[P, R], Iterable[Difference]]

MAX_DIFFERENCES = 16
"""Differences of two calls that are counted to tell which are the most alike; a model may invent any number."""


def match_calls(predicted: Sequence[P], reference: Sequence[R], differ: Differ[P, R]) -> Fault | None:
    """Return None where each predicted call fits a reference call of its own and none is left over, else what is wrong.

    `differ` yields the differences of a predicted call from a reference call, none where it fits; their paths begin
    inside the call. The path of the result counts the predicted calls, or says `reference[j]`.
    """
    if len(predicted) == len(reference):  # most answers keep the reference's order: no need of all the pairs
        firsts = (next(iter(differ(p, r)), None) for p, r in zip(predicted, reference, strict=True))
        first = next((found for found in firsts if found is not None), None)
        if first is None or len(predicted) == 1:
            return first and first.told("[0]")
    partners = maximum_matching([[next(iter(differ(p, r)), None) is None for r in reference] for p in predicted], len(reference))
    taken = {j for j in partners if j is not None}
    left = [i for i, j in enumerate(partners) if j is None]
    missing = [j for j in range(len(reference)) if j not in taken]
    if not left and not missing:
        return None
    differences = {(i, j): list(islice(differ(predicted[i], reference[j]), MAX_DIFFERENCES)) for i in left for j in missing}
    pairs = _closest(differences)
    if len(predicted) != len(reference):
        paired = set(pairs.values())
        surplus = [f"[{i}]" for i in left if i not in pairs] or [f"reference[{j}]" for j in missing if j not in paired]
        return Fault(Reason.WRONG_COUNT, surplus[0], _counted(len(reference)), _counted(len(predicted)))
    nearest = min(pairs.items())
    return differences[nearest][0].told(f"[{nearest[0]}]")


def maximum_matching(fits: Sequence[Sequence[bool]], num_right: int) -> list[int | None]:
    """Return for each left node its right partner or None, as many partners as can be (augmenting paths, Kuhn 1955)."""
    owners: list[int | None] = [None] * num_right

    def augment(left: int, tried: set[int]) -> bool:
        for right, fit in enumerate(fits[left]):
            if fit and right not in tried:
                tried.add(right)
                owner = owners[right]
                if owner is None or augment(owner, tried):
                    owners[right] = left
                    return True
        return False

    for left in range(len(fits)):
        augment(left, set())
    partners: list[int | None] = [None] * len(fits)
    for right, owner in enumerate(owners):
        if owner is not None:
            partners[owner] = right
    return partners


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
