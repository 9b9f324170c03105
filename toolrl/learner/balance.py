"""Loads -> bins of about the same load: which rank computes what, and in which micro-batch.

Two problems, one answer to both (heaviest first into the emptiest bin, Graham's LPT): `balance` has a given number of bins and improves on
that answer by exchanges, `pack_alike` has bins of a given size and takes as few as they fit.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ATTENTION_TOKENS = 2**15
"""Length at which attention costs a sequence as much as all dense layers: 12 × the hidden size, of which a layer's dense parts take
24·hidden² operations for a token, and causal attention 2·hidden·length. That is 43,000 tokens for 7B and 18,000 for 1.5B; sequences
are so much shorter that one constant between them moves a share by under 5%."""
ENOUGH = 1.002
"""Largest load over the mean at which exchanges end: a smaller difference is less than the noise of a machine."""
LEAST = 1e-6
"""Share of the mean that an exchange must move: below it, sums that are rounded could send the same items to and fro without end."""


def cost(tokens: int) -> float:
    """Return what a sequence costs to train, in tokens of the dense layers: T + T² / ATTENTION_TOKENS."""
    return tokens + tokens * tokens / ATTENTION_TOKENS


def balance(loads: ArrayLike, num_bins: int) -> list[list[int]]:
    """Share indexes out so that the largest sum of loads is small; each bin keeps the order of the indexes."""
    load = np.asarray(loads, dtype=np.float64)
    bin_of = np.zeros(len(load), dtype=np.int64)
    heap = [(0.0, b) for b in range(num_bins)]
    for i in np.argsort(-load, kind="stable"):
        sum_, b = heapq.heappop(heap)
        bin_of[i] = b
        heapq.heappush(heap, (sum_ + load[i], b))
    while _improve(load, bin_of, num_bins):
        pass
    return [np.flatnonzero(bin_of == b).tolist() for b in range(num_bins)]


def _improve(load: NDArray[np.float64], bin_of: NDArray[np.int64], num_bins: int) -> bool:
    """Relieve the fullest bin by one exchange, with the emptiest bin that has a fitting item; returns whether there was one."""
    sums = np.bincount(bin_of, weights=load, minlength=num_bins)
    fullest = int(sums.argmax())
    if sums[fullest] <= ENOUGH * sums.mean():
        return False
    least = LEAST * sums.mean()
    return any(_exchange(load, bin_of, fullest, int(b), sums[fullest] - sums[b], least) for b in np.argsort(sums)[:-1])


def _exchange(load: NDArray[np.float64], bin_of: NDArray[np.int64], full: int, other: int, gap: float, least: float) -> bool:
    """Exchange an item of `full` for a lighter one of `other`, or for nothing, so that about half of their gap moves, if `least` can."""
    mine, theirs = np.flatnonzero(bin_of == full), np.flatnonzero(bin_of == other)
    theirs = theirs[np.argsort(load[theirs], kind="stable")]
    partners = np.concatenate([[0.0], load[theirs]])  # ascending; the first stands for nothing
    above = np.searchsorted(partners, load[mine] - gap / 2).clip(max=len(theirs))
    take = np.stack([above, np.maximum(above - 1, 0)])  # the nearest partners of each item, [2, mine]
    moved = load[mine] - partners[take]
    side, i = np.unravel_index(int(np.abs(moved - gap / 2).argmin()), moved.shape)
    if not least < moved[side, i] < gap - least:
        return False
    bin_of[mine[i]] = other
    if take[side, i]:
        bin_of[theirs[take[side, i] - 1]] = full
    return True


def pack_alike(sizes_by_rank: Sequence[Sequence[tuple[int, float]]], max_tokens: int) -> list[list[list[int]]]:
    """Pack each rank's items into micro-batches of at most `max_tokens`, the same number on every rank and as few as possible.

    Args:
        sizes_by_rank: Tokens and cost of each item.
        max_tokens: Most tokens of a micro-batch.

    Returns:
        Indexes of the items of each micro-batch of each rank, the costliest micro-batch first, so that ranks are in step. A rank with
        fewer items than micro-batches has empty ones.

    Raises:
        ValueError: An item is larger than `max_tokens`.
    """
    check_fit([tokens for sizes in sizes_by_rank for tokens, _ in sizes], max_tokens)
    num = max((-(-sum(tokens for tokens, _ in sizes) // max_tokens) for sizes in sizes_by_rank), default=0)
    while True:
        packed = [_fit(sizes, num, max_tokens) for sizes in sizes_by_rank]
        if all(len(bins) == num for bins in packed):
            return packed
        num = max(len(bins) for bins in packed)


def check_fit(lengths: Sequence[int], max_tokens: int) -> None:
    """Raise ValueError if a sequence is longer than `max_tokens`."""
    if lengths and max(lengths) > max_tokens:
        raise ValueError(f"a sequence of {max(lengths)} tokens does not fit a micro-batch of {max_tokens}")


def _fit(sizes: Sequence[tuple[int, float]], num_bins: int, max_tokens: int) -> list[list[int]]:
    """Pack into `num_bins` bins of like cost, or the fewest more that suffice."""
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i][1])
    while (bins := _spread(order, sizes, num_bins, max_tokens)) is None:
        num_bins += 1
    return sorted((sorted(indexes) for indexes in bins), key=lambda indexes: -sum(sizes[i][1] for i in indexes))


def _spread(order: Sequence[int], sizes: Sequence[tuple[int, float]], num_bins: int, max_tokens: int) -> list[list[int]] | None:
    """Put each into the cheapest bin that has room for it, in `order`; None where none has."""
    bins: list[list[int]] = [[] for _ in range(num_bins)]
    free = [max_tokens] * num_bins
    heap = [(0.0, b) for b in range(num_bins)]
    for i in order:
        tokens, load = sizes[i]
        full = []
        while heap and free[heap[0][1]] < tokens:
            full.append(heapq.heappop(heap))
        if not heap:
            return None
        sum_, b = heap[0]
        bins[b].append(i)
        free[b] -= tokens
        heapq.heapreplace(heap, (sum_ + load, b))
        for entry in full:
            heapq.heappush(heap, entry)
    return bins
