"""One completion in its own optimizer step: its terms, its share of the loss, and its part of the gradient.

    prepare ─> the optimizer steps before its own, as in a run ─> its loss alone ─> g_i ─> its whole step, as in a run ─> g

    projection = ⟨g_i, g⟩ / ‖g‖², with g = Σ g_i over the completions of the step, so that projections add up to 1

The gradients are those that ZeRO-3 has summed and shared out; norms and products are added up over its partitions. The completion's own
optimizer step is not taken: what was accumulated is dropped again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from toolrl.algo.objective import Terms
from toolrl.learner.collate import PolicyTokens
from toolrl.learner.inspection import Inspection, Place, TokenTerms
from toolrl.learner.kl_reward import Rewards
from toolrl.learner.measure import Meter
from toolrl.learner.policy import Advantages, OptimizerStep, Pass, PolicyStep

if TYPE_CHECKING:
    from toolrl.learner.trainer import Trainer


@dataclass(frozen=True, slots=True)
class _Gradient:
    """This rank's partition of a gradient, parameter by parameter."""

    parts: tuple[Tensor, ...]

    def dot(self, other: _Gradient) -> float:
        """Return ⟨self, other⟩ over all ranks, in double precision. Collective."""
        device = self.parts[0].device
        own = torch.zeros((), dtype=torch.float64, device=device)
        for ours, theirs in zip(self.parts, other.parts, strict=True):
            own += ours.double() @ theirs.double()
        if dist.get_world_size() > 1:
            dist.all_reduce(own)
        return float(own)


def inspect(
    step: PolicyStep,
    trainer: Trainer,
    steps: Sequence[Sequence[PolicyTokens]],
    advantages: Advantages,
    rewards: Rewards,
    place: Place,
) -> Inspection | None:
    """Train the optimizer steps before `place.optimizer_step` and look at a completion in that one. Collective.

    Args:
        step: Of this rank.
        trainer: The one that `step` trains.
        steps: As for `PolicyStep.run`.
        advantages: As for `PolicyStep.run`.
        rewards: As for `PolicyStep.run`.
        place: Where the completion is; the same on every rank.

    Returns:
        None on a rank that does not have the completion.
    """
    meter = Meter(step.ranks)
    prepared, advantages = step.prepare(steps, advantages, rewards, meter)
    for before in prepared[: place.optimizer_step]:
        if before.denominator:
            step.accumulate(before, meter)
            trainer.update()
    its_step = prepared[place.optimizer_step]
    its_pass = its_step.passes[place.micro_batch]
    names = [(row.draw, row.sample) for row in its_pass.micro.rows]
    index = names.index((place.draw, place.sample)) if (place.draw, place.sample) in names else None
    tokens = _alone(step, trainer, its_step, its_pass, index)
    single = _take_gradient(trainer)
    shares = step.accumulate(its_step, meter)
    whole = _take_gradient(trainer)
    squared, along, step_squared = single.dot(single), single.dot(whole), whole.dot(whole)
    if tokens is None:
        return None
    return Inspection(
        rank=dist.get_rank(),
        place=place,
        optimizer_steps=len(prepared),
        micro_batches=len(its_step.passes),
        advantage=float(advantages[place.draw][place.sample]),
        tokens=tokens,
        loss_share=shares[place.draw, place.sample],
        denominator=its_step.denominator,
        gradient_norm=squared**0.5,
        step_gradient_norm=step_squared**0.5,
        projection=along / step_squared if step_squared else 0.0,
    )


def _alone(step: PolicyStep, trainer: Trainer, its_step: OptimizerStep, its_pass: Pass, index: int | None) -> TokenTerms | None:
    """Accumulate the gradient of completion `index` of a pass alone; on a rank without it, of nothing. Returns its terms."""
    logp, entropy = step.forward(its_pass)
    terms = step.terms(its_pass, logp, entropy)
    chosen = its_pass.micro.segments.index == (-1 if index is None else index)
    trainer.backward(torch.where(chosen, terms.loss, 0.0), its_step.denominator)
    return None if index is None else _of(chosen, its_pass, terms, logp, entropy, its_step.denominator)


def _of(chosen: Tensor, its_pass: Pass, terms: Terms, logp: Tensor, entropy: Tensor, denominator: float) -> TokenTerms:
    def values(tensor: Tensor) -> NDArray[Any]:
        return tensor.detach()[chosen].cpu().numpy()

    reference = its_pass.reference_logp
    return TokenTerms(
        engine_logp=values(its_pass.micro.engine_logp),
        old_logp=values(logp if its_pass.old_logp is None else its_pass.old_logp),
        logp=values(logp),
        reference_logp=None if reference is None else values(reference),
        entropy=values(entropy),
        ratio=values(terms.ratio),
        clipped=values(terms.clipped),
        importance=values(terms.importance),
        policy=values(terms.policy),
        kl=None if terms.kl is None else values(terms.kl),
        weight=values(terms.weight),
        loss=(values(terms.loss) / denominator).astype(np.float32),
    )


def _take_gradient(trainer: Trainer) -> _Gradient:
    """Return what was accumulated on this rank, and begin anew."""
    optimizer = trainer.engine.optimizer
    optimizer.finalize_gradient_accumulation_boundary()  # brings it to where it is read, where the optimizer steps on the host
    optimizer.set_gradient_accumulation_boundary(False)
    trained = (parameter for parameter in trainer.causal.parameters() if parameter.requires_grad)
    parts = tuple(deepspeed.utils.safe_get_local_grad(parameter).clone() for parameter in trained)
    optimizer.zero_grad()  # the next backward pass overwrites instead of adding
    return _Gradient(parts)
