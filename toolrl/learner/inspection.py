"""What one completion did in its optimizer step, token by token: a value without tensors, so that a page can be made from it.

Axes: T trained tokens of the completion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolrl.types import TrainedGroup

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """The terms of the loss at each trained token. Log-probabilities in nats, at the sampling's temperature."""

    engine_logp: Floats  # [T], while sampling
    old_logp: Floats  # [T], of the learner at the start of the batch
    logp: Floats  # [T], of the learner in this optimizer step
    reference_logp: Floats | None  # [T]; None without a KL penalty
    entropy: Floats  # [T], of the learner's distribution
    ratio: Floats  # [T], what the policy loss made of logp - old_logp
    clipped: NDArray[np.bool_]  # [T], whether the clip decided
    importance: Floats  # [T], weight for having been sampled by the engine
    policy: Floats  # [T], policy loss before any weight
    kl: Floats | None  # [T], estimate of the KL to the reference
    weight: Floats  # [T], of the aggregation
    loss: Floats  # [T], the token's part of the step's loss: it adds up to the completion's loss share


@dataclass(frozen=True, slots=True)
class Inspection:
    """One completion in its optimizer step. The gradient is that of the whole step's loss, before clipping."""

    optimizer_step: int  # in its batch, counted from 0
    optimizer_steps: int  # of the batch
    rank: int
    micro_batch: int  # in its optimizer step on that rank, counted from 0
    micro_batches: int
    advantage: float
    tokens: TokenTerms
    loss_share: float
    denominator: float  # what the step's loss is divided by: tokens, or completions
    gradient_norm: float  # ‖g_i‖ of the gradient of the loss share
    step_gradient_norm: float  # ‖g‖
    projection: float  # ⟨g_i, g⟩ / ‖g‖²; adds up to 1 over the step's completions
    trained: Mapping[int, TrainedGroup]
    """The groups of this optimizer step on this rank by draw, as the replay trained them."""

    @property
    def cosine(self) -> float:
        """Return the cosine between ‖g_i‖ and ‖g‖; 0 where either is 0."""
        if not self.gradient_norm:
            return 0.0
        return self.projection * self.step_gradient_norm / self.gradient_norm
