"""`algo.loss: clipped`. PPO's surrogate, with a bound of its own on each side: DAPO."""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.bounded_exp import bounded_exp
from toolrl.algo.policy.outcome import PolicyLoss


def clipped(logp: Tensor, old_logp: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float) -> PolicyLoss:
    """Return `-min(r·A, clip(r, 1 - clip_low, 1 + clip_high)·A)` with `r = exp(logp - old_logp)`.

    Source: PPO (arXiv 1707.06347, equation 7); separate bounds as in DAPO (arXiv 2503.14476, equation 8).

    Args:
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        old_logp: Those `[N]` at the start of the batch, without.
        advantage: Advantage `[N]` of each token's completion.
        clip_low: Distance of the lower bound from 1.
        clip_high: Distance of the upper bound from 1.
    """
    return surrogate(bounded_exp(logp - old_logp), advantage, clip_low=clip_low, clip_high=clip_high)


def surrogate(ratio: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float) -> PolicyLoss:
    """Return `-min(ratio·A, clip(ratio)·A)` of ratios however they were made."""
    plain = -advantage * ratio
    bounded = -advantage * ratio.clamp(1 - clip_low, 1 + clip_high)
    return PolicyLoss(torch.maximum(plain, bounded), (bounded > plain).detach(), ratio.detach())
