"""The draws of a run: a pure function of (run seed, draw number), so that a run resumes from a number and two runs draw alike.

    draw k ─> epoch k // N ─> permutation of the N prompts, seeded by (run seed, epoch) ─> entry k % N

Prompts are encoded once, at construction, so that no draw depends on timing. Randomness is blake2b and the raw stream of Philox, both
fixed for all time: a run may be resumed under another NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from toolrl.errors import DataError
from toolrl.types import Draw, Prompt

MAX_SIBLINGS = 2**20
"""Room above every sampling seed: completion i of a group is sampled with `seed + i`, below 2^63."""


def sampling_seed(run_seed: int, number: int) -> int:
    """Return the seed of a draw's first completion: a hash, evenly spread over 0 … 2^63 − 2^20.

    Two groups of G completions share a seed with a probability of about G / 2^62.
    """
    return _hash("sampling", run_seed, number, size=8) % (2**63 - MAX_SIBLINGS)


@lru_cache(maxsize=4)  # draws run ahead over the end of an epoch and come back
def permutation(run_seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """Return the order [N] in which an epoch takes its prompts."""
    keys = np.random.Philox(key=_hash("epoch", run_seed, epoch, size=16)).random_raw(size)
    return np.argsort(keys, kind="stable")


class PromptStream:
    """Endless draws of a list of prompts. Implements `protocols.PromptSource`; immutable and picklable."""

    def __init__(
        self, prompts: Sequence[Prompt], *, encode: Callable[[Prompt], NDArray[np.int32]], max_prompt_tokens: int, seed: int
    ) -> None:
        """Encode every prompt and leave out those longer than `max_prompt_tokens`. Raises DataError if none is left."""
        encoded = [(prompt, encode(prompt)) for prompt in prompts]
        self._kept = tuple((prompt, ids) for prompt, ids in encoded if len(ids) <= max_prompt_tokens)
        self._seed = seed
        self.left_out = len(prompts) - len(self._kept)
        """Prompts over the limit."""
        if not self._kept:
            shortest = min((len(ids) for _, ids in encoded), default=0)
            raise DataError(
                f"data.max_prompt_tokens: none of {len(prompts)} prompts has {max_prompt_tokens} tokens or fewer "
                f"(the shortest has {shortest}); raise it, or give other prompts"
            )

    def __len__(self) -> int:
        """Return N, the prompts of an epoch."""
        return len(self._kept)

    def draw(self, number: int) -> Draw:
        """Return draw `number`, counted from 0."""
        epoch, entry = divmod(number, len(self._kept))
        prompt, token_ids = self._kept[permutation(self._seed, epoch, len(self._kept))[entry]]
        return Draw(number, prompt, token_ids, sampling_seed(self._seed, number))


def _hash(purpose: str, *numbers: int, size: int) -> int:
    text = " ".join((purpose, *map(str, numbers)))
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest(), "big")
