"""The loss of reinforcement learning, token by token.

    loss of a token = weight · (importance · policy loss + kl_coef · KL − entropy_coef · entropy)

`weight` is the aggregation's. The scalar to differentiate is the sum of it over `aggregate.denominator` of the optimizer step, and a
completion's share of that scalar is the sum over its tokens over the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from toolrl.algo.aggregate import token_weights
from toolrl.algo.importance_weights import importance_weights
from toolrl.algo.kl import kl
from toolrl.algo.policy_loss import policy_loss
from toolrl.algo.segments import Segments
from toolrl.config.learning import AlgoConfig


@dataclass(frozen=True, slots=True)
class Terms:
    """Loss of the N trained tokens of a micro-batch, and what it is made of. Only `loss` has a gradient."""

    loss: Tensor  # float32 [N], weight included
    policy: Tensor  # float32 [N], policy loss without importance and weight
    kl: Tensor | None  # float32 [N], estimate of the KL to the reference, without coefficient and weight; None without reference
    ratio: Tensor  # float32 [N], new probability over old
    clipped: Tensor  # bool [N], whether the clip decides the policy loss
    importance: Tensor  # float32 [N]
    weight: Tensor  # float32 [N], of the aggregation


def objective(
    algo: AlgoConfig,
    *,
    logp: Tensor,
    entropy: Tensor,
    old_logp: Tensor,
    engine_logp: Tensor,
    reference_logp: Tensor | None,
    advantage: Tensor,
    segments: Segments,
) -> Terms:
    """Return the loss of each of the N trained tokens of a micro-batch.

    Args:
        algo: What to add up; `loss_constant` above 0 where the aggregation is `constant`.
        logp: Log-probabilities `[N]` under the weights being trained, with gradient.
        entropy: Entropy `[N]` of the policy where each token was sampled, with gradient if `algo.entropy_coef` is to have an effect.
        old_logp: Log-probabilities `[N]` at the start of the batch, without gradient.
        engine_logp: The engine's `[N]`, recorded while sampling.
        reference_logp: The start checkpoint's `[N]`; None at KL 0.
        advantage: Advantage `[N]` of each token's completion, with the KL in it where `algo.kl_in` is `reward`.
        segments: Which completion each token belongs to; every completion is whole.

    Raises:
        ValueError: A choice in `algo` is unknown.
    """
    policy = policy_loss(algo, logp, old_logp, advantage, segments)
    importance = importance_weights(algo, old_logp, engine_logp, segments)
    weight = token_weights(algo.aggregation, segments, algo.loss_constant)
    loss = importance * policy.loss
    penalty = None if reference_logp is None else kl(algo.kl_estimator, logp, reference_logp)
    if penalty is not None and algo.kl_in == "loss":
        loss = loss + algo.kl_coef * penalty
    if algo.entropy_coef:
        loss = loss - algo.entropy_coef * entropy
    return Terms(
        loss=weight * loss,
        policy=policy.loss.detach(),
        kl=None if penalty is None else penalty.detach(),
        ratio=policy.ratio,
        clipped=policy.clipped,
        importance=importance,
        weight=weight,
    )
