"""`algo.loss: cispo`. REINFORCE whose importance weight is clipped, so that no token loses its gradient: MiniMax-M1."""

from __future__ import annotations

from torch import Tensor

from toolrl.algo.bounded_exp import bounded_exp
from toolrl.algo.policy.outcome import PolicyLoss


def cispo(logp: Tensor, old_logp: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float) -> PolicyLoss:
    """Return `-stop_gradient(clip(r, 1 - clip_low, 1 + clip_high))·A·logp` with `r = exp(logp - old_logp)`.

    The paper uses no lower bound; `clip_low` near 1 is that.

    Source: CISPO, in MiniMax-M1 (arXiv 2506.13585, equations 4 and 5).

    Args:
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        old_logp: Those `[N]` at the start of the batch, without.
        advantage: Advantage `[N]` of each token's completion.
        clip_low: Distance of the lower bound from 1.
        clip_high: Distance of the upper bound from 1.
    """
    ratio = bounded_exp((logp - old_logp).detach())
    weight = ratio.clamp(1 - clip_low, 1 + clip_high)
    # An advantage of 0 leaves no loss for the clip to decide.
    return PolicyLoss(-weight * advantage * logp, (weight != ratio) & (advantage != 0), ratio)
