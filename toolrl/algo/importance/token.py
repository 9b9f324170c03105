"""`algo.importance: token`. Each token's probability ratio, truncated."""

from __future__ import annotations

import torch
from torch import Tensor


def token(log_ratio: Tensor, cap: float) -> Tensor:
    """Return `min(exp(log_ratio), cap)` of each token, `[N]` -> `[N]`.

    Source: truncated importance sampling, as in Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL
    training"; Ionides 2008 for the estimator.
    """
    return torch.exp(log_ratio).clamp(max=cap)
