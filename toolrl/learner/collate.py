"""Rows of token ids -> the tensors of one forward pass.

Rows are padded on the right and need no mask: under causal attention no token looks at what follows it, and a padded position is never
among the trained ones. A trained token at `t` is predicted from the hidden state at `t - 1`.

Axes: B rows, T tokens of the longest row, N trained tokens of all rows, in row order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolrl.learner.packing import Demonstration, MicroBatch
from toolrl.types import Group


@dataclass(frozen=True, slots=True)
class Tokens:
    """Input of one forward pass."""

    input_ids: Tensor  # int64 [B, T]
    positions: Tensor  # int64 [N], into the flattened [B * T]
    labels: Tensor  # int64 [N]
    num_real: int
    """Tokens that are not padding."""

    @property
    def num_trained(self) -> int:
        """Tokens with a loss (N)."""
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class PolicyTokens:
    """A micro-batch of completions: tokens to score, and what is known of each."""

    tokens: Tokens
    advantage: Tensor  # float32 [N]
    engine_logp: Tensor  # float32 [N]


def policy_tokens(micro_batch: MicroBatch, groups: Mapping[int, Group], device: str) -> PolicyTokens:
    """Return the tensors of `micro_batch`; `groups` by draw number. Without rows: a pass that trains nothing."""
    ids, trained, advantages, logprobs = [], [], [], []
    for row in micro_batch.rows:
        group = groups[row.draw]
        completion = group.completions[row.sample]
        at = np.flatnonzero(completion.loss_mask)
        ids.append(np.concatenate([group.draw.token_ids, completion.token_ids]))
        trained.append(at + len(group.draw.token_ids))
        advantages.append(np.full(len(at), row.advantage, dtype=np.float32))
        logprobs.append(completion.logprobs[at])
    return PolicyTokens(_tokens(ids, trained, device), _float32(advantages, device), _float32(logprobs, device))


def demonstration_tokens(rows: Sequence[Demonstration], device: str) -> Tokens:
    """Return the tensors of a micro-batch of demonstrations. The first token of a row is never trained: nothing predicts it."""
    trained = [np.arange(max(row.prompt_tokens, 1), len(row.token_ids)) for row in rows]
    return _tokens([row.token_ids for row in rows], trained, device)


def _tokens(ids: Sequence[NDArray[np.int32]], trained: Sequence[NDArray[np.int64]], device: str) -> Tokens:
    width = max((len(row) for row in ids), default=1)
    padded = np.zeros((max(len(ids), 1), width), dtype=np.int64)
    for b, row in enumerate(ids):
        padded[b, : len(row)] = row
    labels = [row[at] for row, at in zip(ids, trained, strict=True)]
    positions = [b * width + at - 1 for b, at in enumerate(trained)]
    return Tokens(
        input_ids=torch.from_numpy(padded).to(device),
        positions=torch.from_numpy(_concatenate(positions, np.int64)).to(device),
        labels=torch.from_numpy(_concatenate(labels, np.int64)).to(device),
        num_real=sum(len(row) for row in ids),
    )


def _float32(arrays: Sequence[NDArray[np.float32]], device: str) -> Tensor:
    return torch.from_numpy(_concatenate(arrays, np.float32)).to(device)


def _concatenate(arrays: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    joined: NDArray[Any] = np.concatenate([np.zeros(0, dtype), *arrays])
    return joined.astype(dtype, copy=False)
