"""Causal attention over sequences that lie one behind the other, each looking at itself only.

    query, key, value [1, heads, T, D] ─ layout ─> kernel, a sequence at a time ─> [1, T, heads, D]

Dense layers see one row of T tokens without padding. Only attention knows where a sequence ends: Transformers hands the `layout` of the
forward pass through to the function registered here, and makes no mask for it (an implementation without a mask function gets none).
A T×T mask never exists.

Axes: S sequences, T tokens of all, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

SDPA = "packed_sdpa"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each sequence of a packed row begins and ends."""

    lengths: tuple[int, ...]  # [S], each at least 1
    cu_seqlens: Tensor  # int32 [S + 1], on the device: the first token of each, and T
    max_length: int

    @property
    def num_attended(self) -> int:
        """Positions attention computes."""
        return sum(self.lengths)


def make_layout(lengths: Sequence[int], device: str) -> Layout:
    """Return the layout of sequences of `lengths` tokens, in that order."""
    bounds = np.cumsum([0, *lengths], dtype=np.int32)
    return Layout(tuple(lengths), torch.from_numpy(bounds).to(device), max(lengths))


def sdpa(
    module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: None, *, layout: Layout, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """PyTorch's own kernel, one sequence at a time. Arguments and result as Transformers wants them."""
    pieces = (torch.split(x, layout.lengths, dim=2) for x in (query, key, value))
    gqa = query.shape[1] != key.shape[1]
    out = [F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=gqa) for q, k, v in zip(*pieces, strict=True)]
    return torch.cat([x.transpose(1, 2) for x in out], dim=1), None


def implementation(_attention: str) -> str:
    """Return the name under which Transformers knows the kernel for `model.attention`."""
    return SDPA


AttentionInterface.register(SDPA, sdpa)
