"""Which demonstrations each optimizer step trains: a function of the run's seed and the step's number, so that a run resumes from a number.

step 0 … copying warm-up … │ rows of epoch 0, in the order of a permutation │ rows of epoch 1, in another order │ …
                             a batch may reach over the end of an epoch
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from toolrl.config.sft import SftConfig
from toolrl.data.draws import permutation
from toolrl.learner.packing import Demonstration

DIGEST = "demonstrations.digest"
"""File of a run folder that tells what it trains on."""
COPY_LENGTHS = (4, 16)
"""Fewest and most tokens of a sequence to copy."""


def with_steps(config: SftConfig, num_rows: int) -> SftConfig:
    """Return the settings with `run.steps` counted from `loop.epochs` and the number of demonstrations, where epochs are asked for."""
    if not config.loop.epochs:
        return config
    steps = config.data.copy_warmup_steps + math.ceil(config.loop.epochs * num_rows / config.loop.rows_per_batch)
    return replace(config, run=replace(config.run, steps=max(1, steps)))


def digest_of(rows: Sequence[Demonstration]) -> str:
    """Return what tells these demonstrations, in this order, from any others: a run that is resumed must go on with the same."""
    found = blake2b(digest_size=16)
    for row in rows:
        found.update(np.array([len(row.token_ids), row.prompt_tokens], np.int64).tobytes())
        found.update(row.token_ids.astype(np.int32).tobytes())
    return found.hexdigest()


def batch_of(step: int, rows: Sequence[Demonstration], config: SftConfig, vocabulary: int) -> list[Demonstration]:
    """Return the demonstrations of optimizer step `step`, counted from 0. `vocabulary` is the number of token ids."""
    if step < config.data.copy_warmup_steps:
        random = np.random.default_rng((config.run.seed, step))
        return [_copying(random, vocabulary) for _ in range(config.data.copy_warmup_rows)]
    size = config.loop.rows_per_batch
    first = (step - config.data.copy_warmup_steps) * size
    return [_row(first + i, rows, config.run.seed) for i in range(size)]


def _row(number: int, rows: Sequence[Demonstration], seed: int) -> Demonstration:
    epoch, entry = divmod(number, len(rows))
    return rows[int(permutation(seed, epoch, len(rows))[entry])]


def _copying(random: np.random.Generator, vocabulary: int) -> Demonstration:
    """Return random tokens, a separator (token 0), and the same tokens again: the loss is on the repetition."""
    ids = random.integers(1, vocabulary, size=random.integers(*COPY_LENGTHS, endpoint=True), dtype=np.int32)
    return Demonstration(np.concatenate([ids, np.zeros(1, np.int32), ids]), prompt_tokens=len(ids) + 1)
