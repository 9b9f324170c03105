"""Supervised training on one rank: cross-entropy on the tokens behind each prompt, as an optimizer step or only measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from toolrl.algo.cross_entropy import cross_entropy
from toolrl.learner.collate import Tokens, demonstration_tokens
from toolrl.learner.measure import Meter, Ranks
from toolrl.learner.packing import Demonstration, trained_tokens
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
        meter.add(real=tokens.num_real, computed=tokens.num_computed, pairs=tokens.num_pairs)
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
        "learner/flops": trainer.shape.batch(total),
        **{f"learner/{part}": total[part] for part in ("forward_s", "backward_s", "optimizer_s")},
    }


def supervised_losses(trainer: Trainer, micro_batches: Sequence[Sequence[Demonstration]], device: str) -> list[tuple[float, int]]:
    """Return the sum of the losses, in nats, and the number of their tokens for each demonstration; nothing is trained. Collective."""
    found: list[tuple[float, int]] = []
    for rows in micro_batches:
        with torch.no_grad():
            logp, _ = trainer.forward(demonstration_tokens(rows, device), temperature=1.0)
        counts = [trained_tokens(row) for row in rows]
        sums = [float(part.double().sum()) for part in torch.split(cross_entropy(logp), counts)] if rows else []
        found += zip(sums, counts, strict=True)
    return found
