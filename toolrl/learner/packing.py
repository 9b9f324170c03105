"""A batch -> what each rank computes: whole groups shared out by tokens, rows of like length in each micro-batch.

    Batch ─ consecutive groups ─> optimizer steps ─ longest first ─> ranks ─ sorted by length, cut ─> micro-batches

Every rank gets the same number of micro-batches in each optimizer step, since each forward and backward pass is collective. Only
lengths are read here, no token: a rank fetches its own groups later. The plan is a pure function of the batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.types import Batch, Trajectory

PASS_OVERHEAD_TOKENS = 384
"""Tokens of padding a forward and backward pass of its own may cost: what one takes before its first token, on CPU."""


@dataclass(frozen=True, slots=True)
class Row:
    """One completion behind its prompt, as a row of a micro-batch."""

    draw: int
    sample: int
    """Index of the completion in its group."""
    tokens: int
    """Prompt and completion."""
    advantage: float


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows of one forward and backward pass, longest last. Without rows it only keeps step with the other ranks."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class RankShard:
    """What one rank does with a batch."""

    rank: int
    optimizer_steps: tuple[tuple[MicroBatch, ...], ...]
    """Micro-batches of each optimizer step; of equal number on all ranks."""
    handles: Mapping[int, Any]
    """Draw number -> handle of each group the rank must fetch."""


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
        num_ranks: Ranks of the learner group.
        minibatches: Optimizer steps.
        max_tokens: Most tokens of a micro-batch on a rank.
        drop_truncated: Leave out completions that the token limit cut short.

    Raises:
        ValueError: A sequence is longer than `max_tokens`.
    """
    by_rank: list[list[tuple[MicroBatch, ...]]] = [[] for _ in range(num_ranks)]
    handles: list[dict[int, Any]] = [{} for _ in range(num_ranks)]
    for part in _consecutive(batch.trajectories, minibatches):
        shares = _balance([_group_tokens(trajectory) for trajectory in part], num_ranks)
        rows_by_rank = [[row for i in share for row in _rows(part[i], drop_truncated)] for share in shares]
        cuts = _cut_alike([[row.tokens for row in rows] for rows in rows_by_rank], max_tokens)
        for rank, (share, rows, cut) in enumerate(zip(shares, rows_by_rank, cuts, strict=True)):
            handles[rank].update((part[i].scored.group.draw, part[i].scored.group.handle) for i in share)
            by_rank[rank].append(tuple(MicroBatch(tuple(rows[i] for i in indexes)) for indexes in cut))
    return tuple(RankShard(rank, tuple(by_rank[rank]), handles[rank]) for rank in range(num_ranks))


def shard_demonstrations(rows: Sequence[Demonstration], *, num_ranks: int, max_tokens: int) -> tuple[DemonstrationShard, ...]:
    """Return the share of each rank in one optimizer step of supervised training. Raises as `shard_batch` does."""
    shares = _balance([len(row.token_ids) for row in rows], num_ranks)
    rows_by_rank = [[rows[i] for i in share] for share in shares]
    cuts = _cut_alike([[len(row.token_ids) for row in part] for part in rows_by_rank], max_tokens)
    return tuple(
        DemonstrationShard(rank, tuple(tuple(part[i] for i in indexes) for indexes in cut))
        for rank, (part, cut) in enumerate(zip(rows_by_rank, cuts, strict=True))
    )


def cut_by_length(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Return the indexes of the rows of each micro-batch, for a single rank. Raises as `shard_batch` does."""
    return _cut_alike([lengths], max_tokens)[0]


def padding_share(shards: Sequence[RankShard]) -> float:
    """Return the share of all computed tokens that is padding."""
    passes = [mb.rows for shard in shards for step in shard.optimizer_steps for mb in step if mb.rows]
    computed = sum(len(rows) * max(row.tokens for row in rows) for rows in passes)
    return 1 - sum(row.tokens for rows in passes for row in rows) / computed if computed else 0.0


def _group_tokens(trajectory: Trajectory) -> int:
    group = trajectory.scored.group
    return group.prompt_tokens * len(group.completion_tokens) + sum(group.completion_tokens)


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


def _balance(loads: Sequence[int], bins: int) -> list[list[int]]:
    """Give each index to the bin with the least load, the heaviest first (Graham's LPT); each bin keeps the order of the indexes."""
    heap = [(0, b) for b in range(bins)]
    shares: list[list[int]] = [[] for _ in range(bins)]
    for i in sorted(range(len(loads)), key=lambda i: (-loads[i], i)):
        load, b = heapq.heappop(heap)
        shares[b].append(i)
        heapq.heappush(heap, (load + loads[i], b))
    return [sorted(share) for share in shares]


def _cut_alike(lengths_by_rank: Sequence[Sequence[int]], max_tokens: int) -> list[list[list[int]]]:
    """Cut each rank's rows into micro-batches, the same number on every rank; a rank with too few rows gets empty ones."""
    cutters = [_Cutter(lengths, max_tokens) for lengths in lengths_by_rank]
    for cutter in cutters:
        while cutter.best_saving > PASS_OVERHEAD_TOKENS:
            cutter.cut()
    most = max(cutter.num for cutter in cutters)
    for cutter in cutters:
        while cutter.num < most and cutter.best_saving >= 0:
            cutter.cut()
    return [cutter.indexes + [[] for _ in range(most - cutter.num)] for cutter in cutters]


class _Cutter:
    """Rows sorted by length, cut into as few runs as `max_tokens` allows, then further where it saves most padding."""

    def __init__(self, lengths: Sequence[int], max_tokens: int) -> None:
        self._order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
        self._lengths = np.array([lengths[i] for i in self._order], dtype=np.int64)
        self._runs: list[tuple[int, int, int, int]] = []  # heap of (-saving, start, end, cut)
        start = 0
        for end in range(1, len(lengths) + 1):
            longest = int(self._lengths[end - 1])
            if longest > max_tokens:
                raise ValueError(f"a sequence of {longest} tokens does not fit a micro-batch of {max_tokens}")
            if longest * (end - start) > max_tokens:
                self._push(start, end - 1)
                start = end - 1
        if lengths:
            self._push(start, len(lengths))

    @property
    def num(self) -> int:
        return len(self._runs)

    @property
    def best_saving(self) -> int:
        """Tokens of padding the next cut saves; -1 where no run can be cut."""
        return -self._runs[0][0] if self._runs else -1

    @property
    def indexes(self) -> list[list[int]]:
        return [self._order[start:end] for _, start, end, _ in sorted(self._runs, key=lambda run: run[1])]

    def cut(self) -> None:
        _, start, end, at = heapq.heappop(self._runs)
        self._push(start, at)
        self._push(at, end)

    def _push(self, start: int, end: int) -> None:
        """Add a run with its best cut: the rows before the cut need no longer be padded to the longest row."""
        if end - start < 2:
            heapq.heappush(self._runs, (1, start, end, end))
            return
        run = self._lengths[start:end]
        saved = np.arange(1, len(run)) * (run[-1] - run[:-1])
        best = int(saved.argmax())
        heapq.heappush(self._runs, (-int(saved[best]), start, end, start + 1 + best))
