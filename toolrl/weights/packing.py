"""Many tensors in one message: where each lies in the bytes of a bucket.

Sender and receivers work it out alike from the same metadata, so nothing of it is sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from vllm.distributed.weight_transfer.base import ParamMeta

Item = TypeVar("Item")

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer type by its bytes."""

ALIGNMENT_BYTES = 16
"""Every tensor starts at a multiple of this, since bytes can only be read as a wider type from an aligned start."""


def num_bytes(meta: ParamMeta) -> int:
    """Bytes of a tensor's values."""
    return math.prod(int(size) for size in meta.shape) * int(meta.dtype.itemsize)


def digest(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of the tensor's values read as integers: int64, a scalar on its device.

    Any change of one value changes it, at the cost of one read. It does not see values that change places.
    """
    return tensor.contiguous().view(INTEGERS[tensor.element_size()]).sum(dtype=torch.int64)


def buckets(items: Sequence[Item], sizes: Sequence[int], bucket_bytes: int) -> list[list[Item]]:
    """Split `items` into consecutive runs whose `sizes` sum to at most `bucket_bytes`; what is larger stands alone."""
    runs: list[list[Item]] = []
    room = 0
    for item, size in zip(items, sizes, strict=True):
        if not runs or size > room:
            runs.append([])
            room = bucket_bytes
        runs[-1].append(item)
        room -= size
    return runs


def meta_buckets(metas: Sequence[ParamMeta], bucket_bytes: int) -> list[list[ParamMeta]]:
    """Split tensors into the runs that travel together."""
    return buckets(metas, [num_bytes(meta) for meta in metas], bucket_bytes)


def empty_buffer(metas: Sequence[ParamMeta]) -> torch.Tensor:
    """Return room for `metas`.

    A fresh one for each bucket: a loader may hold on to what it was given until the last tensor of its layer has come.
    """
    return torch.empty(sum(_padded(meta) for meta in metas), dtype=torch.uint8)


def views(buffer: torch.Tensor, metas: Sequence[ParamMeta]) -> Iterator[tuple[ParamMeta, torch.Tensor]]:
    """Yield each tensor as a view of `buffer`, to be filled or read."""
    start = 0
    for meta in metas:
        yield meta, buffer[start : start + num_bytes(meta)].view(meta.dtype).view(meta.shape)
        start += _padded(meta)


def _padded(meta: ParamMeta) -> int:
    return -(-num_bytes(meta) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
