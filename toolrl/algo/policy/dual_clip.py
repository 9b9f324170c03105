"""`algo.loss: dual_clip`. PPO's surrogate with a ceiling for tokens that became far more likely and should not have."""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.policy.clipped import clipped
from toolrl.algo.policy.outcome import PolicyLoss


def dual_clip(logp: Tensor, old_logp: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float, ceiling: float) -> PolicyLoss:
    """Return the clipped loss, where the advantage is negative at most `ceiling·|A|`.

    Source: Ye et al. 2020 (arXiv 1912.09729, section "Dual-clip PPO"): `max(min(r·A, clip(r)·A), ceiling·A)` for A < 0.

    Args:
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        old_logp: Those `[N]` at the start of the batch, without.
        advantage: Advantage `[N]` of each token's completion.
        clip_low: Distance of the lower bound from 1.
        clip_high: Distance of the upper bound from 1.
        ceiling: Largest ratio that still counts, above 1 + clip_high to leave room for the plain loss.
    """
    once = clipped(logp, old_logp, advantage, clip_low=clip_low, clip_high=clip_high)
    bound = -ceiling * advantage
    above = (advantage < 0) & (once.loss.detach() > bound)
    return PolicyLoss(torch.where(above, bound, once.loss), once.clipped | above, once.ratio)
