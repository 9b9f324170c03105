"""Rows of token ids -> the tensors of one forward pass.

    prompt A without its last token | last of A, completion 0 | last of A, completion 1 | … | prompt B … | a sequence on its own | …

Segments lie one behind the other in a single row without padding. Completions of a group that meet in a micro-batch share one copy of
their prompt, which attention sees before each of them; the prompt's last token stands before each, because it predicts the first token of
each. Positions count within the sequence, prompt included. A trained token at `t` is predicted from the hidden state at `t - 1`.

Axes: T tokens of the row, N trained tokens, S completions; in the order of the rows.
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
from toolrl.types import Completion, Group


@dataclass(frozen=True, slots=True)
class Tokens:
    """Input of one forward pass."""

    input_ids: Tensor  # int64 [1, T]
    position_ids: Tensor  # int64 [1, T], from 0 in each sequence, its prompt included
    layout: Layout
    positions: Tensor  # int64 [N], into T: the hidden state that predicts the label
    labels: Tensor  # int64 [N]
    num_real: int
    """T, but 0 where a single token keeps an empty pass in step with the other ranks."""

    @property
    def num_trained(self) -> int:
        """Tokens with a loss (N)."""
        return len(self.labels)

    @property
    def num_pairs(self) -> int:
        """Queries and the keys that each sees: its own past, itself, and its prefix."""
        if not self.num_real:
            return 0
        lengths = self.layout.lengths
        behind = [0 if prefix is None else lengths[prefix] for prefix in self.layout.prefixes]
        return sum(n * (n + 1) // 2 + n * before for n, before in zip(lengths, behind, strict=True))

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
    pieces, counts, logprobs = [], [], []
    for rows in micro_batch.chunks:
        group = groups[rows[0].draw]
        members = [group.completions[row.sample] for row in rows]
        pieces += _chunk_pieces(group.draw.token_ids, members)
        trained = [np.flatnonzero(member.loss_mask) for member in members]
        counts += [len(at) for at in trained]
        logprobs += [member.logprobs[at] for member, at in zip(members, trained, strict=True)]
    index = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device)
    segments = Segments(index, torch.tensor(counts, dtype=torch.float32, device=device))
    return PolicyTokens(
        tokens=_tokens(pieces, device),
        advantage=segments.spread(torch.tensor([row.advantage for row in micro_batch.rows], dtype=torch.float32, device=device)),
        engine_logp=torch.from_numpy(_concatenate(logprobs, np.float32)).to(device),
        segments=segments,
        rows=micro_batch.rows,
    )


def demonstration_tokens(rows: Sequence[Demonstration], device: str) -> Tokens:
    """Return the tensors of a micro-batch of demonstrations. The first token of a row is never trained: nothing predicts it."""
    return _tokens([_Piece(row.token_ids, np.arange(max(row.prompt_tokens, 1), len(row.token_ids))) for row in rows], device)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A segment of the row."""

    token_ids: NDArray[np.int32]
    trained: NDArray[np.int64]  # places in `token_ids`, none of them the first
    prefix: int = 0
    """How many pieces before it the one lies that it continues; 0: it continues none."""


def _chunk_pieces(prompt: NDArray[np.int32], members: Sequence[Completion]) -> list[_Piece]:
    """Return the segments of completions that share a prompt; one alone, or a prompt of one token, is not worth a segment of its own."""
    if len(members) < 2 or len(prompt) < 2:
        return [_Piece(np.concatenate([prompt, m.token_ids]), np.flatnonzero(m.loss_mask) + len(prompt)) for m in members]
    own = [(np.concatenate([prompt[-1:], m.token_ids]), np.flatnonzero(m.loss_mask) + 1) for m in members]
    return [_Piece(prompt[:-1], np.zeros(0, np.int64)), *(_Piece(ids, at, prefix=i) for i, (ids, at) in enumerate(own, start=1))]


def _tokens(pieces: Sequence[_Piece], device: str) -> Tokens:
    row = pieces or [_Piece(np.zeros(1, np.int32), np.zeros(0, np.int64))]  # every rank passes forward and backward, with a token at least
    lengths = [len(piece.token_ids) for piece in row]
    prefixes = [i - piece.prefix if piece.prefix else None for i, piece in enumerate(row)]
    starts = np.cumsum([0, *lengths])
    offsets = [0 if prefix is None else lengths[prefix] for prefix in prefixes]
    return Tokens(
        input_ids=_int64([piece.token_ids for piece in row], device)[None],
        position_ids=_int64([np.arange(offset, offset + n) for offset, n in zip(offsets, lengths, strict=True)], device)[None],
        layout=make_layout(lengths, device, prefixes),
        positions=_int64([start + piece.trained - 1 for start, piece in zip(starts[:-1], row, strict=True)], device),
        labels=_int64([piece.token_ids[piece.trained] for piece in row], device),
        num_real=sum(lengths) if pieces else 0,
    )


def _int64(arrays: Sequence[NDArray[Any]], device: str) -> Tensor:
    return torch.from_numpy(_concatenate(arrays, np.int64)).to(device)


def _concatenate(arrays: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    joined: NDArray[Any] = np.concatenate([np.zeros(0, dtype), *arrays])
    return joined.astype(dtype, copy=False)
