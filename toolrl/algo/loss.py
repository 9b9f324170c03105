"""Losses of single tokens, and their one aggregation.

Every function takes the N trained tokens of a micro-batch as flat float32 tensors `[N]` and returns `[N]`; masked tokens and padding
are not among them. `aggregate` turns them into the scalar to differentiate. Its denominator is a property of the whole optimizer step,
never of the micro-batch, so that any split into micro-batches and ranks has the same gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

EXP_LIMIT = 10.0
"""Nats above which `exp` continues as its tangent: no overflow, and the gradient stays alive instead of being clamped to 0."""


def bounded_exp(x: Tensor) -> Tensor:
    """Return `exp(x)`, continued as its tangent above `EXP_LIMIT`."""
    return torch.exp(x.clamp(max=EXP_LIMIT)) * (1 + (x - EXP_LIMIT).clamp(min=0))


def clipped_policy_loss(logp: Tensor, old_logp: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float) -> tuple[Tensor, Tensor]:
    """Return `-min(r·A, clip(r, 1 - clip_low, 1 + clip_high)·A)` with `r = exp(logp - old_logp)`, and which tokens the clip decides.

    Source: PPO (arXiv 1707.06347, equation 7); separate bounds as in DAPO (arXiv 2503.14476, equation 8).

    Args:
        logp: Log-probabilities under the weights being trained, with gradient.
        old_logp: Those at the start of the batch, without.
        advantage: Advantage of each token's completion.
        clip_low: Distance of the lower bound from 1.
        clip_high: Distance of the upper bound from 1.
    """
    ratio = bounded_exp(logp - old_logp)
    plain = -advantage * ratio
    clipped = -advantage * ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.maximum(plain, clipped), (clipped > plain).detach()


def importance_weights(old_logp: Tensor, engine_logp: Tensor, *, mode: str, cap: float) -> Tensor:
    """Return the weight of each token for having been sampled by the engine: `min(exp(old_logp - engine_logp), cap)`, no gradient.

    Source: truncated importance sampling, as in Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL
    training".

    Args:
        old_logp: The learner's log-probabilities at the start of the batch.
        engine_logp: The engine's, recorded while sampling.
        mode: `token`, or `off` for weights of 1.
        cap: Upper truncation.

    Raises:
        ValueError: `mode` is neither.
    """
    if mode == "off":
        return torch.ones_like(old_logp)
    if mode != "token":
        raise ValueError(f"importance: got {mode!r}; choose token or off")
    return torch.exp(old_logp - engine_logp).clamp(max=cap).detach()


def kl_k3(logp: Tensor, reference_logp: Tensor) -> Tensor:
    """Return the k3 estimate of KL(policy ‖ reference): `exp(d) - d - 1` with `d = reference_logp - logp`; at least 0.

    Source: Schulman 2020, "Approximating KL divergence". Beyond `EXP_LIMIT` it is linear, so that it still pulls back.
    """
    d = reference_logp - logp
    return bounded_exp(d) - d - 1


def cross_entropy(logp: Tensor) -> Tensor:
    """Return `-logp`, the loss of supervised training."""
    return -logp


def aggregate(loss: Tensor, denominator: float) -> Tensor:
    """Return the sum of the token losses over `denominator`: the trained tokens of the whole optimizer step, all ranks together.

    Raises:
        ValueError: `denominator` is not positive; such a step has nothing to train and must be skipped.
    """
    if denominator <= 0:
        raise ValueError(f"denominator: got {denominator}; a step without trained tokens must be skipped")
    return loss.sum() / denominator
