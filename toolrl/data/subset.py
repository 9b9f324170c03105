"""A part of the dialogues of some rows, as `data.subset` names it: 0-50 and 50-100 of the same rows share nothing and are all of them.

    rows ─> dialogues with the number of their rows ─ by a hash of their names ─> one line of rows ─ cut at two shares ─> rows of the part

    |  d7  |     d2     | d9 |   d1   |  …      a dialogue is whole on the side of a cut where it begins,
    0               50 %                        so a part has its share of the rows to within one dialogue at each end

The order of the rows plays no part, nor what they are read as: a file of demonstrations is cut in the same places for `toolrl sft` as for
`toolrl rl`. Only rows of the same names and numbers can be compared so: the parts of two different files may share dialogues.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TypeVar

from toolrl.config.task import subset_bounds
from toolrl.errors import DataError
from toolrl.types import Prompt

Row = TypeVar("Row")


def subset_of(rows: Sequence[Row], subset: str, *, prompt_of: Callable[[Row], Prompt]) -> tuple[Row, ...]:
    """Return the rows of a part of the dialogues, in their order.

    Args:
        rows: Each stands for one prompt.
        subset: A `data.subset`: two ends in percent, as in 0-50; empty: all rows.
        prompt_of: The prompt of a row.

    Raises:
        DataError: The part is too small to have a dialogue.
    """
    if not subset:
        return tuple(rows)
    low, high = subset_bounds(subset)
    names = [dialogue_of(prompt_of(row)) for row in rows]
    starts = _starts(Counter(names))
    kept = tuple(row for row, name in zip(rows, names, strict=True) if low * len(rows) <= starts[name] < high * len(rows))
    if not kept:
        raise DataError(f"data.subset: no dialogue begins in {subset} percent of {len(rows)} rows of {len(starts)} dialogues; widen it")
    return kept


def dialogue_of(prompt: Prompt) -> str:
    """Return the name that the prompts of a dialogue share: where it has none, a prompt is a dialogue of its own."""
    return prompt.dialogue or prompt.id


def _starts(sizes: Counter[str]) -> dict[str, int]:
    """Return how many rows stand before each dialogue, in the order of their hashes."""
    starts, before = {}, 0
    for name in sorted(sizes, key=_place):
        starts[name] = before
        before += sizes[name]
    return starts


def _place(name: str) -> bytes:
    return blake2b(f"subset {name}".encode(), digest_size=16).digest()
