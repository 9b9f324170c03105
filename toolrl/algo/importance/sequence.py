"""`algo.importance: sequence`. The probability ratio of the whole completion, truncated."""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.segments import Segments


def sequence(log_ratio: Tensor, segments: Segments, cap: float) -> Tensor:
    """Return `min(exp(sum over the completion), cap)` at each of its tokens, `[N]` -> `[N]`.

    Unbiased but for the cap, and of a variance that grows with the length: the product of many ratios is soon near 0 or at the cap.

    Source: Liu et al. 2025, "When speed kills stability: demystifying RL collapse from the training-inference mismatch" (sequence-level
    truncated importance sampling).
    """
    return segments.spread(torch.exp(segments.sums(log_ratio)).clamp(max=cap))
