"""Which groups a page carries where it cannot carry all: the same for the same run, and spread over all of it.

    rows ─ 1. up to PER_REASON groups with each reason ─ 2. every draw of some prompts, up to half ─ 3. evenly over the run ─> chosen

Without the first a seldom fault would be missing, without the second no prompt could be followed through training, and the third is a
fair sample of what the run did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from toolrl.pipelines.reporting.groups import GroupRow

PER_REASON = 100


@dataclass(frozen=True)
class Choice:
    """The groups of one run that its page carries."""

    rows: tuple[GroupRow, ...]
    """In draw order."""
    total: int
    """Groups of the run."""

    @property
    def told(self) -> str:
        """How they were chosen, in a sentence; empty where all are there."""
        if len(self.rows) == self.total:
            return ""
        return (
            f"Chosen: up to {PER_REASON} groups with each reason, evenly over the run; every draw of some prompts, so that they can be "
            "followed through training; and for the rest every so-many-th group of the run."
        )


def choose(rows: Sequence[GroupRow], most: int) -> Choice:
    """Choose at most `most` of a run's groups, which come in draw order. The same rows give the same choice."""
    if len(rows) <= most:
        return Choice(tuple(rows), len(rows))
    taken: dict[int, None] = {}
    by_reason: defaultdict[str, list[int]] = defaultdict(list)
    by_prompt: defaultdict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        for reason in set(row.reasons):
            by_reason[reason].append(i)
        by_prompt[row.prompt_id].append(i)
    each = min(PER_REASON, max(1, most // (4 * len(by_reason))))
    for reason in sorted(by_reason, key=lambda reason: len(by_reason[reason])):
        _take(taken, spread(by_reason[reason], each), most)
    for prompt in sorted(by_prompt, key=_shuffled):
        if len(taken) >= most // 2:
            break
        if len(by_prompt[prompt]) > 1:
            _take(taken, by_prompt[prompt], most)
    left = [i for i in range(len(rows)) if i not in taken]
    _take(taken, spread(left, most - len(taken)), most)
    return Choice(tuple(rows[i] for i in sorted(taken)), len(rows))


def spread(items: Sequence[int], count: int) -> list[int]:
    """Return `count` of the items, evenly over them, the first among them.

    >>> spread(range(10), 4)
    [0, 2, 5, 7]
    """
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _take(taken: dict[int, None], items: Iterable[int], most: int) -> None:
    for item in items:
        if len(taken) >= most:
            return
        taken[item] = None


def _shuffled(name: str) -> bytes:
    """Return a key that puts names in an order which has nothing to do with them."""
    return blake2b(name.encode("utf-8", "backslashreplace"), digest_size=8).digest()
