"""`algo.loss: gspo`. The clipped surrogate of whole completions: one ratio for all of a completion's tokens."""

from __future__ import annotations

from torch import Tensor

from toolrl.algo.bounded_exp import bounded_exp
from toolrl.algo.policy.clipped import surrogate
from toolrl.algo.policy.outcome import PolicyLoss
from toolrl.algo.segments import Segments


def gspo(logp: Tensor, old_logp: Tensor, advantage: Tensor, segments: Segments, *, clip_low: float, clip_high: float) -> PolicyLoss:
    """Return `-min(s·A, clip(s)·A)` at each token, with `s = exp(mean over the completion of (logp - old_logp))`.

    The gradient flows through the mean, so each token of a completion gets the same share of it. With `algo.aggregation: sequence_mean`
    this is the paper's objective. `s` is a geometric mean and stays near 1: the bounds want to be about 3e-4 and 4e-4.

    Source: GSPO (arXiv 2507.18071, equations 5 and 7).

    Args:
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        old_logp: Those `[N]` at the start of the batch, without.
        advantage: Advantage `[N]` of each token's completion.
        segments: Which completion each token belongs to.
        clip_low: Distance of the lower bound from 1.
        clip_high: Distance of the upper bound from 1.
    """
    ratio = segments.spread(bounded_exp(segments.means(logp - old_logp)))
    return surrogate(ratio, advantage, clip_low=clip_low, clip_high=clip_high)
