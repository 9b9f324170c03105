"""One batch of reinforcement learning on one rank.

    old log-probabilities (before the first of several optimizer steps)
      └> per optimizer step:  forward ─> clipped loss × importance + KL ─> backward, for each micro-batch ─> update

Every rank takes the same path: what decides it (trained tokens, advantages) is agreed on first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from toolrl.algo.objective import objective
from toolrl.config.learning import AlgoConfig
from toolrl.learner.collate import PolicyTokens, Tokens
from toolrl.learner.measure import PARTS, Meter, summed
from toolrl.learner.trainer import Trainer


class PolicyStep:
    """Trains batches of completions.

    Args:
        trainer: The policy.
        reference: Engine of the frozen start checkpoint; None where there is no KL term.
        algo: Losses.
        temperature: Of the sampling.
        device: `cpu` or `cuda`.
    """

    def __init__(self, trainer: Trainer, reference: Any, algo: AlgoConfig, temperature: float, device: str) -> None:
        self._trainer = trainer
        self._reference = reference
        self._algo = algo
        self._temperature = temperature
        self._device = device

    def run(self, steps: Sequence[Sequence[PolicyTokens]]) -> dict[str, float]:
        """Train the micro-batches of each optimizer step and return the metrics of all ranks. Collective."""
        meter = Meter(self._device)
        norms, rates = [], []
        tokens = self._trained_tokens(steps)
        live = [(step, n) for step, n in zip(steps, tokens, strict=True) if n]
        old = [[self._old_logp(micro, meter) for micro in step] for step, _ in live] if len(live) > 1 else None
        for i, (step, denominator) in enumerate(live):
            for j, micro in enumerate(step):
                self._micro_batch(micro, old[i][j] if old else None, denominator, meter)
            with meter.seconds("optimizer_s"):
                norm, lr = self._trainer.update()
            norms.append(norm)
            rates.append(lr)
        return _metrics(meter.reduced(), norms, rates, self._algo.kl_coef, skipped=len(steps) - len(live))

    def _trained_tokens(self, steps: Sequence[Sequence[PolicyTokens]]) -> list[float]:
        """Tokens of each optimizer step over all ranks; 0 where its loss is constant, so that the step must be skipped."""
        counts = [float(sum(micro.tokens.num_trained for micro in step)) for step in steps]
        moving = [float(sum(int(micro.advantage.count_nonzero()) for micro in step)) for step in steps]
        agreed = summed(counts + moving, self._device)
        pairs = zip(agreed[: len(steps)], agreed[len(steps) :], strict=True)
        return [n if moving or self._algo.kl_coef else 0.0 for n, moving in pairs]

    def _old_logp(self, micro: PolicyTokens, meter: Meter) -> Tensor:
        with meter.seconds("old_logprobs_s"), torch.no_grad():
            return self._trainer.forward(micro.tokens, self._temperature)[0]

    def _reference_logp(self, tokens: Tokens, meter: Meter) -> Tensor | None:
        if self._reference is None:
            return None
        with meter.seconds("reference_s"), torch.no_grad():
            logp, _ = self._reference(tokens, self._temperature)
        return cast(Tensor, logp)

    def _micro_batch(self, micro: PolicyTokens, old: Tensor | None, denominator: float, meter: Meter) -> None:
        reference = self._reference_logp(micro.tokens, meter)
        with meter.seconds("forward_s"):
            logp, entropy = self._trainer.forward(micro.tokens, self._temperature)
            # With one optimizer step the weights are still those of the start: the ratio is 1, and a pass is saved.
            old = logp.detach() if old is None else old
            loss = self._loss(micro, logp, entropy, old, reference, meter)
        with meter.seconds("backward_s"):
            self._trainer.backward(loss, denominator)
        meter.add(tokens=len(logp), loss=loss, entropy=entropy, real=micro.tokens.num_real, computed=micro.tokens.input_ids.numel())
        meter.engine_mismatch(old, micro.engine_logp)

    def _loss(self, micro: PolicyTokens, logp: Tensor, entropy: Tensor, old: Tensor, reference: Tensor | None, meter: Meter) -> Tensor:
        terms = objective(
            self._algo,
            logp=logp,
            entropy=entropy,
            old_logp=old,
            engine_logp=micro.engine_logp,
            reference_logp=reference,
            advantage=micro.advantage,
            segments=micro.segments,
        )
        meter.add(policy=terms.policy * terms.importance, clipped=terms.clipped)
        meter.raise_to("ratio", terms.ratio)
        if terms.kl is not None:
            meter.add(kl=terms.kl)
        return terms.loss


def _metrics(total: dict[str, float], norms: list[float], rates: list[float], kl_coef: float, *, skipped: int) -> dict[str, float]:
    """Means over trained tokens; what was not measured, because every optimizer step was skipped, is absent."""
    metrics = {"learner/skipped_steps": float(skipped), "learner/tokens": total["tokens"]}
    if not norms:
        return metrics
    n = total["tokens"]
    metrics |= {
        "learner/loss": total["loss"] / n,
        "learner/policy_loss": total["policy"] / n,
        "learner/entropy": total["entropy"] / n,
        "learner/clip_share": total["clipped"] / n,
        "learner/ratio_max": total["max_ratio"],
        "learner/mismatch_mean_abs_dlogp": total["abs_dlogp"] / n,
        "learner/mismatch_max_abs_dlogp": total["max_dlogp"],
        "learner/mismatch_kl": total["k3_dlogp"] / n,
        "learner/ess": total["weight"] ** 2 / (n * total["weight2"]),
        "learner/grad_norm": sum(norms) / len(norms),
        "learner/lr": rates[-1],
        "learner/padding_share": 1 - total["real"] / total["computed"],
    }
    if kl_coef:
        metrics["learner/kl"] = total["kl"] / n
    return metrics | {f"learner/{part}": total[part] for part in PARTS}
