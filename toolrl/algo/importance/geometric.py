"""`algo.importance: geometric`. The geometric mean of the completion's ratios, truncated."""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.segments import Segments


def geometric(log_ratio: Tensor, segments: Segments, cap: float) -> Tensor:
    """Return `min(exp(mean over the completion), cap)` at each of its tokens, `[N]` -> `[N]`.

    The sequence's ratio without its growth with the length, at the price of a bias.

    Source: the length-normalised ratio of GSPO (arXiv 2507.18071, equation 7), between engine and learner.
    """
    return segments.spread(torch.exp(segments.means(log_ratio)).clamp(max=cap))
