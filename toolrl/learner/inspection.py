"""What one completion did in its optimizer step, token by token: a value without tensors, so that a page can be made from it.

Axes: T trained tokens of the completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolrl.learner.packing import RankShard

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a batch a completion is trained; both counts from 0."""

    draw: int
    sample: int
    optimizer_step: int
    micro_batch: int


def place_of(shards: Sequence[RankShard], draw: int, sample: int) -> Place:
    """Return where a completion of a sharded batch is trained. Raises ValueError where it is not."""
    for shard in shards:
        for i, step in enumerate(shard.optimizer_steps):
            for j, micro_batch in enumerate(step):
                if any((row.draw, row.sample) == (draw, sample) for row in micro_batch.rows):
                    return Place(draw, sample, i, j)
    raise ValueError(f"the batch does not train {draw}.{sample}")


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

    place: Place
    rank: int
    optimizer_steps: int  # of the batch
    micro_batches: int  # of the optimizer step, on each rank
    advantage: float
    tokens: TokenTerms
    loss_share: float
    denominator: float  # what the step's loss is divided by: tokens, or completions
    gradient_norm: float  # ‖g_i‖ of the gradient of the loss share
    step_gradient_norm: float  # ‖g‖
    projection: float  # ⟨g_i, g⟩ / ‖g‖²; adds up to 1 over the step's completions

    @property
    def cosine(self) -> float:
        """Return the cosine of the angle between g_i and g; 0 where either is 0."""
        if not self.gradient_norm:
            return 0.0
        return self.projection * self.step_gradient_norm / self.gradient_norm
