"""`algo.importance: masked`. Each token's ratio; a token on which engine and learner disagree too much is not trained."""

from __future__ import annotations

import torch
from torch import Tensor


def masked(log_ratio: Tensor, floor: float, cap: float) -> Tensor:
    """Return `exp(log_ratio)` where it lies between `floor` and `cap`, both included, else 0: `[N]` -> `[N]`.

    Source: IcePop, in Ring-1T (arXiv 2510.18855).
    """
    ratio = torch.exp(log_ratio)
    return torch.where((ratio >= floor) & (ratio <= cap), ratio, torch.zeros_like(ratio))
