"""`algo.loss: reinforce`. The plain policy gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.bounded_exp import bounded_exp
from toolrl.algo.policy.outcome import PolicyLoss


def reinforce(logp: Tensor, old_logp: Tensor, advantage: Tensor) -> PolicyLoss:
    """Return `-A·logp`; nothing is clipped, and steps after a batch's first are not corrected for being off-policy.

    Source: Williams 1992, "Simple statistical gradient-following algorithms"; for language models arXiv 2402.14740, section "REINFORCE".

    Args:
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        old_logp: Those `[N]` at the start of the batch, for the ratio that is reported.
        advantage: Advantage `[N]` of each token's completion.
    """
    return PolicyLoss(-advantage * logp, torch.zeros_like(logp, dtype=torch.bool), bounded_exp((logp - old_logp).detach()))
