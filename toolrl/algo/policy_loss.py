"""The policy loss that `algo.loss` names."""

from __future__ import annotations

from torch import Tensor

from toolrl.algo.policy.cispo import cispo
from toolrl.algo.policy.clipped import clipped
from toolrl.algo.policy.dual_clip import dual_clip
from toolrl.algo.policy.gspo import gspo
from toolrl.algo.policy.outcome import PolicyLoss
from toolrl.algo.policy.reinforce import reinforce
from toolrl.algo.segments import Segments
from toolrl.config.learning import AlgoConfig


def policy_loss(algo: AlgoConfig, logp: Tensor, old_logp: Tensor, advantage: Tensor, segments: Segments) -> PolicyLoss:
    """Return the policy loss of each of the N trained tokens of a micro-batch.

    Args:
        algo: Which loss, and its bounds.
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        old_logp: Those `[N]` at the start of the batch, without.
        advantage: Advantage `[N]` of each token's completion.
        segments: Which completion each token belongs to.

    Raises:
        ValueError: `algo.loss` is unknown.
    """
    low, high = algo.clip_low, algo.clip_high
    match algo.loss:
        case "clipped":
            return clipped(logp, old_logp, advantage, clip_low=low, clip_high=high)
        case "dual_clip":
            return dual_clip(logp, old_logp, advantage, clip_low=low, clip_high=high, ceiling=algo.dual_clip)
        case "gspo":
            return gspo(logp, old_logp, advantage, segments, clip_low=low, clip_high=high)
        case "cispo":
            return cispo(logp, old_logp, advantage, clip_low=low, clip_high=high)
        case "reinforce":
            return reinforce(logp, old_logp, advantage)
    raise ValueError(f"algo.loss: got {algo.loss!r}; choose clipped, dual_clip, gspo, cispo or reinforce")
