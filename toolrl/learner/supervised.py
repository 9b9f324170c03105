"""One optimizer step of supervised training on one rank: cross-entropy on the tokens behind each prompt."""

from __future__ import annotations

from collections.abc import Sequence

from toolrl.algo.cross_entropy import cross_entropy
from toolrl.learner.collate import Tokens
from toolrl.learner.measure import Meter, Ranks
from toolrl.learner.trainer import Trainer


def supervised_step(trainer: Trainer, micro_batches: Sequence[Tokens], ranks: Ranks) -> dict[str, float]:
    """Train the micro-batches as one optimizer step and return the metrics of all ranks. Collective."""
    meter = Meter(ranks)
    (denominator,) = ranks.summed([float(sum(tokens.num_trained for tokens in micro_batches))])
    if not denominator:
        return {"learner/skipped_steps": 1.0, "learner/tokens": 0.0}
    for tokens in micro_batches:
        with meter.seconds("forward_s"):
            logp, entropy = trainer.forward(tokens, temperature=1.0)
            loss = cross_entropy(logp)
        with meter.seconds("backward_s"):
            trainer.backward(loss, denominator)
        meter.add(tokens=len(logp), loss=loss, entropy=entropy)
        meter.add(real=tokens.num_real, computed=tokens.num_computed)
    with meter.seconds("optimizer_s"):
        norm, lr = trainer.update()
    total = meter.reduced()
    return {
        "learner/skipped_steps": 0.0,
        "learner/tokens": denominator,
        "learner/loss": total["loss"] / denominator,
        "learner/entropy": total["entropy"] / denominator,
        "learner/grad_norm": norm,
        "learner/lr": lr,
        "learner/padding_share": 1 - total["real"] / total["computed"],
        **{f"learner/{part}": total[part] for part in ("forward_s", "backward_s", "optimizer_s")},
    }
