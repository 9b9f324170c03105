"""A batch -> what each rank computes: whole groups shared out by cost, then packed into micro-batches of a token budget.

    Batch ─ consecutive groups ─> optimizer steps ─ whole groups, balanced ─> ranks ─ balanced ─> micro-batches

Completions of a group share one computation of their prompt: under causal attention it is the same for each. A group stays together in a
micro-batch for that, unless it does not fit one. Every rank gets the same number of micro-batches in each optimizer step, since each
forward and backward pass is collective, and of about the same cost, since ranks wait for each other in every layer. Only lengths are read
here, no token: a rank fetches its own groups later. The plan is a pure function of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.learner.balance import balance, check_fit, cost, pack_alike
from toolrl.types import Batch, Trajectory


@dataclass(frozen=True, slots=True)
class Row:
    """One completion behind its prompt: a sequence of a micro-batch."""

    draw: int
    sample: int
    """Index of the completion in its group."""
    prompt_tokens: int
    tokens: int
    """Prompt and completion."""
    advantage: float


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows of one forward and backward pass, those of a group together. Without rows it only keeps step with the other ranks."""

    rows: tuple[Row, ...]
    share_prompts: bool = True
    """Rows of a group share one computation of their prompt."""

    @property
    def chunks(self) -> tuple[tuple[Row, ...], ...]:
        """Rows by the prompt they share."""
        if not self.share_prompts:
            return tuple((row,) for row in self.rows)
        return tuple(tuple(rows) for _, rows in groupby(self.rows, key=lambda row: row.draw))

    @property
    def tokens(self) -> int:
        """Tokens computed."""
        return sum(map(_tokens, self.chunks))


def shared_tokens(row: Row) -> int:
    """Return how many tokens of its prompt a row can share: all but the last, which predicts the first token of each completion."""
    return max(row.prompt_tokens - 1, 0)


@dataclass(frozen=True, slots=True)
class RankShard:
    """What one rank does with a batch."""

    rank: int
    optimizer_steps: tuple[tuple[MicroBatch, ...], ...]
    """Micro-batches of each optimizer step; of equal number on all ranks."""
    handles: Mapping[int, Any]
    """Draw number -> handle of each group the rank must fetch."""
    advantages: Mapping[int, tuple[float, ...]]
    """Draw number -> advantages of all completions of the group, of those left out too."""
    rewards: Mapping[int, tuple[float | None, ...]] = field(default_factory=dict)
    """Draw number -> what the advantages are made of; empty unless the rank must make them anew (`algo.kl_in: reward`)."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A sequence to imitate. The loss is on the tokens from `prompt_tokens` on."""

    token_ids: NDArray[np.int32]  # [T]
    prompt_tokens: int


def trained_tokens(row: Demonstration) -> int:
    """Return how many tokens of a demonstration have a loss. The first token of a sequence has none: nothing predicts it."""
    return len(row.token_ids) - max(row.prompt_tokens, 1)


@dataclass(frozen=True, slots=True)
class DemonstrationShard:
    """What one rank does with the demonstrations of one optimizer step."""

    rank: int
    micro_batches: tuple[tuple[Demonstration, ...], ...]
    """Of equal number on all ranks."""


def shard_batch(
    batch: Batch, *, num_ranks: int, minibatches: int, max_tokens: int, drop_truncated: bool = False, share_prompts: bool = True
) -> tuple[RankShard, ...]:
    """Return the share of each rank.

    Args:
        batch: Groups in the order they were drawn; each optimizer step takes consecutive ones.
        num_ranks: Shares to make: ranks of the learner group, or groups of ranks that share each sequence.
        minibatches: Optimizer steps.
        max_tokens: Most tokens of a micro-batch on a rank.
        drop_truncated: Leave out completions that the token limit cut short. Their groups keep their handles.
        share_prompts: Compute the prompt of a group's completions once in each micro-batch.

    Raises:
        ValueError: A sequence is longer than `max_tokens`.
    """
    by_rank: list[list[tuple[MicroBatch, ...]]] = [[] for _ in range(num_ranks)]
    handles: list[dict[int, Any]] = [{} for _ in range(num_ranks)]
    advantages: list[dict[int, tuple[float, ...]]] = [{} for _ in range(num_ranks)]
    for part in _consecutive(batch.trajectories, minibatches):
        groups = [_chunks(_rows(trajectory, drop_truncated), max_tokens, share_prompts) for trajectory in part]
        shares = balance([sum(map(_cost, chunks)) for chunks in groups], num_ranks)
        chunks_by_rank = [[chunk for i in share for chunk in groups[i]] for share in shares]
        packed = pack_alike([[(_tokens(chunk), _cost(chunk)) for chunk in chunks] for chunks in chunks_by_rank], max_tokens)
        for rank, (share, chunks, bins) in enumerate(zip(shares, chunks_by_rank, packed, strict=True)):
            handles[rank].update((part[i].scored.group.draw, part[i].scored.group.handle) for i in share)
            advantages[rank].update((part[i].scored.group.draw, part[i].advantages) for i in share)
            micro_batches = (tuple(row for i in indexes for row in chunks[i]) for indexes in bins)
            by_rank[rank].append(tuple(MicroBatch(rows, share_prompts) for rows in micro_batches))
    return tuple(RankShard(rank, tuple(by_rank[rank]), handles[rank], advantages[rank]) for rank in range(num_ranks))


def shard_demonstrations(rows: Sequence[Demonstration], *, num_ranks: int, max_tokens: int) -> tuple[DemonstrationShard, ...]:
    """Return the share of each rank in one optimizer step of supervised training. Raises as `shard_batch` does."""
    sizes = _sizes([len(row.token_ids) for row in rows])
    shares = balance([load for _, load in sizes], num_ranks)
    packed = pack_alike([[sizes[i] for i in share] for share in shares], max_tokens)
    return tuple(
        DemonstrationShard(rank, tuple(tuple(rows[share[i]] for i in indexes) for indexes in bins))
        for rank, (share, bins) in enumerate(zip(shares, packed, strict=True))
    )


def pack(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Return the indexes of the sequences of each micro-batch, for a single rank. Raises as `shard_batch` does."""
    return pack_alike([_sizes(lengths)], max_tokens)[0]


def imbalance(shards: Sequence[RankShard]) -> float:
    """Return how many more tokens than the mean the fullest rank computes, as a share of the mean: the mean over optimizer steps."""
    tokens = np.array([[sum(micro.tokens for micro in step) for step in shard.optimizer_steps] for shard in shards])
    return float((tokens.max(0) / np.maximum(tokens.mean(0), 1)).mean() - 1)


def _rows(trajectory: Trajectory, drop_truncated: bool) -> list[Row]:
    group = trajectory.scored.group
    members = zip(group.completion_tokens, trajectory.advantages, group.truncated, strict=True)
    return [
        Row(group.draw, i, group.prompt_tokens, group.prompt_tokens + tokens, advantage)
        for i, (tokens, advantage, truncated) in enumerate(members)
        if not (truncated and drop_truncated)
    ]


def _chunks(rows: Sequence[Row], max_tokens: int, share_prompts: bool) -> list[tuple[Row, ...]]:
    """Cut a group's rows into as few chunks, each with the prompt of its own, as fit a micro-batch: one, if it is not huge."""
    if not share_prompts or len(rows) < 2:
        return [(row,) for row in rows]
    shared = shared_tokens(rows[0])
    check_fit([row.tokens for row in rows], max_tokens)
    bins = pack_alike([_sizes([row.tokens - shared for row in rows])], max_tokens - shared)[0]
    return [tuple(rows[i] for i in indexes) for indexes in bins]


def _tokens(chunk: Sequence[Row]) -> int:
    """Return the tokens computed for rows that share a prompt."""
    return sum(row.tokens for row in chunk) - (len(chunk) - 1) * shared_tokens(chunk[0])


def _cost(chunk: Sequence[Row]) -> float:
    """Return the cost of rows that share a prompt: it is left out of all but one, of the dense layers and of attention alike."""
    return sum(cost(row.tokens) for row in chunk) - (len(chunk) - 1) * cost(shared_tokens(chunk[0]))


def _sizes(lengths: Sequence[int]) -> list[tuple[int, float]]:
    return [(tokens, cost(tokens)) for tokens in lengths]


def _consecutive(trajectories: Sequence[Trajectory], parts: int) -> list[Sequence[Trajectory]]:
    """Cut into `parts` runs whose sizes differ by one at most."""
    bounds = [len(trajectories) * i // parts for i in range(parts + 1)]
    return [trajectories[a:b] for a, b in pairwise(bounds)]
