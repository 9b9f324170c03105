"""Rows of token ids -> the tensors of one forward pass.

Sequences lie one behind the other in a single row without padding; positions start anew with each, and the layout tells attention where
one ends. A trained token at `t` is predicted from the hidden state at `t - 1` of its own sequence.

Axes: T tokens of all sequences, N trained tokens of all, S sequences; all in row order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolrl.algo.segments import Segments
from toolrl.learner.attention import Layout, make_layout
from toolrl.learner.packing import Demonstration, MicroBatch, Row
from toolrl.types import Group


@dataclass(frozen=True, slots=True)
class Tokens:
    """Input of one forward pass."""

    input_ids: Tensor  # int64 [1, T]
    position_ids: Tensor  # int64 [1, T], from 0 in each sequence
    layout: Layout
    positions: Tensor  # int64 [N], into T: the hidden state that predicts the label
    labels: Tensor  # int64 [N]
    num_real: int
    """Tokens of sequences: T, but 0 where a single token keeps an empty pass in step with the other ranks."""

    @property
    def num_trained(self) -> int:
        """Tokens with a loss (N)."""
        return len(self.labels)

    @property
    def num_computed(self) -> int:
        """Positions computed (T): none is padding."""
        return self.input_ids.shape[1]


@dataclass(frozen=True, slots=True)
class PolicyTokens:
    """A micro-batch of completions: tokens to score, and what is known of each."""

    tokens: Tokens
    advantage: Tensor  # float32 [N]
    engine_logp: Tensor  # float32 [N]
    segments: Segments
    """Completion of each trained token, in the order of `rows`."""
    rows: tuple[Row, ...]


def policy_tokens(micro_batch: MicroBatch, groups: Mapping[int, Group], device: str) -> PolicyTokens:
    """Return the tensors of `micro_batch`; `groups` by draw number. Without rows: a pass that trains nothing."""
    ids, trained, logprobs = [], [], []
    for row in micro_batch.rows:
        group = groups[row.draw]
        completion = group.completions[row.sample]
        at = np.flatnonzero(completion.loss_mask)
        ids.append(np.concatenate([group.draw.token_ids, completion.token_ids]))
        trained.append(at + len(group.draw.token_ids))
        logprobs.append(completion.logprobs[at])
    segments = _segments(trained, device)
    return PolicyTokens(
        tokens=_tokens(ids, trained, device),
        advantage=segments.spread(torch.tensor([row.advantage for row in micro_batch.rows], dtype=torch.float32, device=device)),
        engine_logp=torch.from_numpy(_concatenate(logprobs, np.float32)).to(device),
        segments=segments,
        rows=micro_batch.rows,
    )


def demonstration_tokens(rows: Sequence[Demonstration], device: str) -> Tokens:
    """Return the tensors of a micro-batch of demonstrations. The first token of a row is never trained: nothing predicts it."""
    trained = [np.arange(max(row.prompt_tokens, 1), len(row.token_ids)) for row in rows]
    return _tokens([row.token_ids for row in rows], trained, device)


def _tokens(ids: Sequence[NDArray[np.int32]], trained: Sequence[NDArray[np.int64]], device: str) -> Tokens:
    lengths = [len(row) for row in ids]
    starts = np.cumsum([0, *lengths])[:-1]
    labels = [row[at] for row, at in zip(ids, trained, strict=True)]
    positions = [start + at - 1 for start, at in zip(starts, trained, strict=True)]
    idle = not ids  # every rank passes forward and backward, with one token where it has none
    return Tokens(
        input_ids=_int64([np.zeros(1)] if idle else ids, device)[None],
        position_ids=_int64([np.arange(n) for n in lengths or [1]], device)[None],
        layout=make_layout(lengths or [1], device),
        positions=_int64(positions, device),
        labels=_int64(labels, device),
        num_real=sum(lengths),
    )


def _segments(trained: Sequence[NDArray[np.int64]], device: str) -> Segments:
    lengths = np.array([len(at) for at in trained], dtype=np.int64)
    index = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device)
    return Segments(index, torch.from_numpy(lengths.astype(np.float32)).to(device))


def _int64(arrays: Sequence[NDArray[Any]], device: str) -> Tensor:
    return torch.from_numpy(_concatenate(arrays, np.int64)).to(device)


def _concatenate(arrays: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    joined: NDArray[Any] = np.concatenate([np.zeros(0, dtype), *arrays])
    return joined.astype(dtype, copy=False)
