"""One batch of reinforcement learning on one rank.

    prepare   reference and old log-probabilities, advantages with the KL penalty in them, denominators: fixed before the first update
      └> per optimizer step:  forward ─> objective ─> backward, for each micro-batch ─> gate, before the first ─> update

Every rank takes the same path: what decides it (trained tokens, advantages, mismatch) is agreed on first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from toolrl.algo.aggregate import denominator
from toolrl.algo.objective import Terms, objective
from toolrl.algo.segments import Segments
from toolrl.config.learning import AlgoConfig
from toolrl.learner.collate import PolicyTokens
from toolrl.learner.kl_reward import Rewards, advantages_by_draw, penalised, penalties, with_advantages
from toolrl.learner.measure import PARTS, Meter, Ranks
from toolrl.learner.mismatch import Mismatch
from toolrl.types import TrainedGroup

if TYPE_CHECKING:
    from toolrl.learner.reference import Reference
    from toolrl.learner.trainer import Trainer

Advantages = Mapping[int, Sequence[float]]
"""Draw number -> advantage of each completion of the group."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A micro-batch, and what is fixed before the batch's first optimizer step."""

    micro: PolicyTokens  # with the advantages that the loss sees
    old_logp: Tensor | None  # float32 [N]; None: the only optimizer step starts from these weights, so its own forward pass says them
    reference_logp: Tensor | None  # float32 [N]; None at KL 0


@dataclass(frozen=True, slots=True)
class OptimizerStep:
    """The passes of one optimizer step."""

    passes: tuple[Pass, ...]
    denominator: float
    """Of the sum of weighted token losses, over all ranks; 0: the whole loss is constant, and the step is skipped."""


class PolicyStep:
    """Trains batches of completions.

    Args:
        trainer: The policy.
        reference: The start checkpoint; None where there is no KL term.
        algo: Losses; `loss_constant` above 0 where the aggregation is `constant`.
        temperature: Of the sampling.
        ranks: Who adds up.
    """

    def __init__(self, trainer: Trainer, reference: Reference | None, algo: AlgoConfig, temperature: float, ranks: Ranks) -> None:
        self._trainer = trainer
        self._reference = reference
        self._algo = algo
        self._temperature = temperature
        self.ranks = ranks

    def run(
        self, steps: Sequence[Sequence[PolicyTokens]], advantages: Advantages, rewards: Rewards
    ) -> tuple[dict[str, float], dict[int, TrainedGroup]]:
        """Train a batch; return the metrics of all ranks, and how this rank's groups were trained. Collective.

        Args:
            steps: Micro-batches of each optimizer step.
            advantages: Of this rank's groups, completions that are not trained included.
            rewards: Of the same groups, where the KL penalty goes into them; else empty.

        Raises:
            DivergedError: Engine and learner disagree by more than `algo.mismatch_bound`; the weights are as they were. Or a gradient is
                not finite.
        """
        meter = Meter(self.ranks)
        prepared, advantages = self.prepare(steps, advantages, rewards, meter)
        live = [step for step in prepared if step.denominator]
        shares: dict[tuple[int, int], float] = {}
        updates: list[tuple[float, float]] = []
        for step in live:
            shares |= self.accumulate(step, meter)
            if not updates:
                Mismatch.of(meter.reduced()).check(self._algo.mismatch_bound)
            with meter.seconds("optimizer_s"):
                updates.append(self._trainer.update())
        total = meter.reduced()
        metrics = _metrics(total, updates, self._algo.kl_coef, skipped=len(steps) - len(live))
        if updates:
            twice = any(each.old_logp is not None for step in live for each in step.passes)
            metrics["learner/flops"] = self._trainer.shape.batch(total, forwards=twice + (self._reference is not None))
        return metrics, _trained(advantages, shares)

    def prepare(
        self, steps: Sequence[Sequence[PolicyTokens]], advantages: Advantages, rewards: Rewards, meter: Meter
    ) -> tuple[list[OptimizerStep], Advantages]:
        """Return the optimizer steps with all that is fixed before the first, and the advantages they train. Collective; see `run`."""
        prepared = [[Pass(micro, None, self._reference_logp(micro, meter)) for micro in step] for step in steps]
        in_reward = bool(self._algo.kl_coef) and self._algo.kl_in == "reward"
        if in_reward:
            prepared = [[self._with_old_logp(each, meter) for each in step] for step in prepared]
            made = self._penalised_advantages(prepared, rewards)
            advantages = {draw: made[draw] for draw in advantages}
            prepared = [[replace(each, micro=with_advantages(each.micro, made)) for each in step] for step in prepared]
        denominators = self._denominators(prepared)
        several = sum(map(bool, denominators)) > 1
        if several and not in_reward:
            live = zip(prepared, denominators, strict=True)
            prepared = [[self._with_old_logp(each, meter) for each in step] if d else step for step, d in live]
        return [OptimizerStep(tuple(step), d) for step, d in zip(prepared, denominators, strict=True)], advantages

    def accumulate(self, step: OptimizerStep, meter: Meter) -> dict[tuple[int, int], float]:
        """Accumulate the gradient of an optimizer step; return the loss share of each completion by (draw, sample). Collective."""
        found = []
        for each in step.passes:
            draws = dict.fromkeys(row.draw for row in each.micro.rows)
            with meter.seconds("forward_s", draws):
                logp, entropy = self.forward(each)
                terms = self.terms(each, logp, entropy)
            with meter.seconds("backward_s", draws):
                self._trainer.backward(terms.loss, step.denominator)
            found.append(loss_shares(terms.loss, each.micro.segments, step.denominator))
            self._measure(each, terms, logp, entropy, found[-1], meter)
        keys = [(row.draw, row.sample) for each in step.passes for row in each.micro.rows]
        return dict(zip(keys, torch.cat(found).tolist(), strict=True))

    def forward(self, each: Pass) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy `[N]` under the present weights. Collective."""
        return self._trainer.forward(each.micro.tokens, self._temperature)

    def terms(self, each: Pass, logp: Tensor, entropy: Tensor) -> Terms:
        """Return the loss of each token of a pass.

        Args:
            each: The pass.
            logp: From `forward`.
            entropy: From `forward`.
        """
        return objective(
            self._algo,
            logp=logp,
            entropy=entropy,
            old_logp=logp.detach() if each.old_logp is None else each.old_logp,
            engine_logp=each.micro.engine_logp,
            reference_logp=each.reference_logp,
            advantage=each.micro.advantage,
            segments=each.micro.segments,
        )

    def _denominators(self, steps: Sequence[Sequence[Pass]]) -> list[float]:
        """Return what the loss of each optimizer step is divided by; 0 where the whole loss is constant."""
        tokens = [float(sum(each.micro.tokens.num_trained for each in step)) for step in steps]
        completions = [float(sum(int(each.micro.segments.lengths.count_nonzero()) for each in step)) for step in steps]
        moving = [float(sum(int(each.micro.advantage.count_nonzero()) for each in step)) for step in steps]
        agreed = self.ranks.summed(tokens + completions + moving)
        always = bool(self._algo.entropy_coef or (self._algo.kl_coef and self._algo.kl_in == "loss"))
        return [
            denominator(self._algo.aggregation, tokens=t, completions=c) if t and (m or always) else 0.0
            for t, c, m in zip(*(agreed[i * len(steps) : (i + 1) * len(steps)] for i in range(3)), strict=True)
        ]

    def _with_old_logp(self, each: Pass, meter: Meter) -> Pass:
        with meter.seconds("old_logprobs_s"), torch.no_grad():
            logp, _ = self.forward(each)
        meter.engine_mismatch(logp, each.micro.engine_logp)
        return replace(each, old_logp=logp)

    def _reference_logp(self, micro: PolicyTokens, meter: Meter) -> Tensor | None:
        if self._reference is None:
            return None
        with meter.seconds("reference_s"):
            logp, _ = self._reference(micro.tokens, self._temperature)
        return logp

    def _penalised_advantages(self, steps: Sequence[Sequence[Pass]], rewards: Rewards) -> dict[int, tuple[float, ...]]:
        """Return the advantages of all groups of the batch, on every rank the same, from rewards less the KL penalty."""
        found: dict[tuple[int, int], float] = {}
        for each in (each for step in steps for each in step):
            found |= penalties(self._algo, each.micro, each.old_logp, each.reference_logp)
        return advantages_by_draw(self._algo, self.ranks.union(penalised(rewards, found)))

    def _measure(self, each: Pass, terms: Terms, logp: Tensor, entropy: Tensor, shares: Tensor, meter: Meter) -> None:
        tokens = each.micro.tokens
        meter.add(tokens=len(logp), loss=shares, policy=terms.policy * terms.importance, entropy=entropy)
        meter.add(clipped=terms.clipped, importance=terms.importance)
        meter.add(real=tokens.num_real, computed=tokens.num_computed, pairs=tokens.num_pairs)
        meter.raise_to("ratio", terms.ratio)
        if each.old_logp is None:
            meter.engine_mismatch(logp.detach(), each.micro.engine_logp)
        if terms.kl is not None:
            meter.add(kl=terms.kl)


def loss_shares(loss: Tensor, segments: Segments, denominator: float) -> Tensor:
    """Return what each completion adds to the loss of its optimizer step, float64 `[S]`.

    Args:
        loss: Weighted token losses `[N]`, from `Terms`.
        segments: Which completion each token belongs to.
        denominator: Of the optimizer step.
    """
    return segments.sums(loss.detach().double()) / denominator


def _trained(advantages: Advantages, shares: Mapping[tuple[int, int], float]) -> dict[int, TrainedGroup]:
    return {
        draw: TrainedGroup(tuple(group), tuple(shares.get((draw, sample)) for sample in range(len(group))))
        for draw, group in advantages.items()
    }


def _metrics(total: Mapping[str, float], updates: Sequence[tuple[float, float]], kl_coef: float, *, skipped: int) -> dict[str, float]:
    """Means over trained tokens; what was not measured, because every optimizer step was skipped, is absent."""
    metrics = {"learner/skipped_steps": float(skipped), "learner/tokens": total["tokens"]}
    if not updates:
        return metrics
    n = total["tokens"]
    metrics |= Mismatch.of(total).metrics()
    metrics |= {
        "learner/loss": total["loss"] / len(updates),
        "learner/policy_loss": total["policy"] / n,
        "learner/entropy": total["entropy"] / n,
        "learner/clip_share": total["clipped"] / n,
        "learner/ratio_max": total["max_ratio"],
        "learner/importance_mean": total["importance"] / n,
        "learner/grad_norm": sum(norm for norm, _ in updates) / len(updates),
        "learner/lr": updates[-1][1],
        "learner/padding_share": 1 - total["real"] / total["computed"],
    }
    if kl_coef:
        metrics["learner/kl"] = total["kl"] / n
    return metrics | {f"learner/{part}": total[part] for part in PARTS}
