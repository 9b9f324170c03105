"""A batch -> what each rank computes: whole groups shared out by cost, then sequences packed into micro-batches of a token budget.

    Batch ─ consecutive groups ─> optimizer steps ─ whole groups, balanced ─> ranks ─ sequences, balanced ─> micro-batches

Every rank gets the same number of micro-batches in each optimizer step, since each forward and backward pass is collective, and of
about the same cost, since ranks wait for each other in every layer. Only lengths are read here, no token: a rank fetches its own
groups later. The plan is a pure function of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.learner.balance import balance, costs, pack_alike
from toolrl.types import Batch, Trajectory


@dataclass(frozen=True, slots=True)
class Row:
    """One completion behind its prompt: a sequence of a micro-batch."""

    draw: int
    sample: int
    """Index of the completion in its group."""
    tokens: int
    """Prompt and completion."""
    advantage: float


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows of one forward and backward pass. Without rows it only keeps step with the other ranks."""

    rows: tuple[Row, ...]


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


@dataclass(frozen=True, slots=True)
class DemonstrationShard:
    """What one rank does with the demonstrations of one optimizer step."""

    rank: int
    micro_batches: tuple[tuple[Demonstration, ...], ...]
    """Of equal number on all ranks."""


def shard_batch(batch: Batch, *, num_ranks: int, minibatches: int, max_tokens: int, drop_truncated: bool = False) -> tuple[RankShard, ...]:
    """Return the share of each rank.

    Args:
        batch: Groups in the order they were drawn; each optimizer step takes consecutive ones.
        num_ranks: Shares to make: ranks of the learner group, or groups of ranks that share each sequence.
        minibatches: Optimizer steps.
        max_tokens: Most tokens of a micro-batch on a rank.
        drop_truncated: Leave out completions that the token limit cut short. Their groups keep their handles.

    Raises:
        ValueError: A sequence is longer than `max_tokens`.
    """
    by_rank: list[list[tuple[MicroBatch, ...]]] = [[] for _ in range(num_ranks)]
    handles: list[dict[int, Any]] = [{} for _ in range(num_ranks)]
    advantages: list[dict[int, tuple[float, ...]]] = [{} for _ in range(num_ranks)]
    for part in _consecutive(batch.trajectories, minibatches):
        groups = [_rows(trajectory, drop_truncated) for trajectory in part]
        shares = balance([float(costs([row.tokens for row in rows]).sum()) for rows in groups], num_ranks)
        rows_by_rank = [[row for i in share for row in groups[i]] for share in shares]
        packed = pack_alike([[row.tokens for row in rows] for rows in rows_by_rank], max_tokens)
        for rank, (share, rows, bins) in enumerate(zip(shares, rows_by_rank, packed, strict=True)):
            handles[rank].update((part[i].scored.group.draw, part[i].scored.group.handle) for i in share)
            advantages[rank].update((part[i].scored.group.draw, part[i].advantages) for i in share)
            by_rank[rank].append(tuple(MicroBatch(tuple(rows[i] for i in indexes)) for indexes in bins))
    return tuple(RankShard(rank, tuple(by_rank[rank]), handles[rank], advantages[rank]) for rank in range(num_ranks))


def shard_demonstrations(rows: Sequence[Demonstration], *, num_ranks: int, max_tokens: int) -> tuple[DemonstrationShard, ...]:
    """Return the share of each rank in one optimizer step of supervised training. Raises as `shard_batch` does."""
    shares = balance(costs([len(row.token_ids) for row in rows]), num_ranks)
    packed = pack_alike([[len(rows[i].token_ids) for i in share] for share in shares], max_tokens)
    return tuple(
        DemonstrationShard(rank, tuple(tuple(rows[share[i]] for i in indexes) for indexes in bins))
        for rank, (share, bins) in enumerate(zip(shares, packed, strict=True))
    )


def pack(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Return the indexes of the sequences of each micro-batch, for a single rank. Raises as `shard_batch` does."""
    return pack_alike([lengths], max_tokens)[0]


def imbalance(shards: Sequence[RankShard]) -> float:
    """Return how many more tokens than the mean the fullest rank computes, as a share of the mean: the mean over optimizer steps."""
    tokens = np.array([[sum(row.tokens for mb in step for row in mb.rows) for step in shard.optimizer_steps] for shard in shards])
    return float((tokens.max(0) / np.maximum(tokens.mean(0), 1)).mean() - 1)


def _rows(trajectory: Trajectory, drop_truncated: bool) -> list[Row]:
    group = trajectory.scored.group
    members = zip(group.completion_tokens, trajectory.advantages, group.truncated, strict=True)
    return [
        Row(group.draw, i, group.prompt_tokens + tokens, advantage)
        for i, (tokens, advantage, truncated) in enumerate(members)
        if not (truncated and drop_truncated)
    ]


def _consecutive(trajectories: Sequence[Trajectory], parts: int) -> list[Sequence[Trajectory]]:
    """Cut into `parts` runs whose sizes differ by one at most."""
    bounds = [len(trajectories) * i // parts for i in range(parts + 1)]
    return [trajectories[a:b] for a, b in pairwise(bounds)]
