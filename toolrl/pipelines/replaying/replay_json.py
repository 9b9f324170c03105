"""What `toolrl replay --json` prints: the same as the page, whole."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.learner.inspection import TokenTerms
from toolrl.pipelines.replaying.replayed import Replayed

VERDICT = ("reward", "reason", "path", "expected", "got")
COMPLETION = ("text", "finish_reason", "oldest_version", "spans")


def report(replayed: Replayed) -> dict[str, Any]:
    """Return the replay as JSON values; `tokens` has one list for each term, in the order of the completion's tokens."""
    plan, found = replayed.plan, replayed.inspection
    row = plan.row
    ids = {"id": list(row["tokens"]), "text": list(replayed.pieces)}
    return {
        "sample": f"{plan.draw}.{plan.sample}",
        "version": plan.version,
        "attempt": row["attempt"],
        "prompt": {"id": replayed.prompt.id, "tokens": replayed.prompt_ids.tolist()},
        "failed": row["outcome_reason"] if plan.failed else None,
        "completion": {name: row[name] for name in COMPLETION},
        "verdict": {name: row[name] for name in VERDICT},
        "advantage": {"replayed": found.advantage, "logged": row["advantage"]},
        "loss_share": {"replayed": _value(found.loss_share), "logged": row["loss_share"], "difference": _value(replayed.difference)},
        "gradient": {
            "norm": _value(found.gradient_norm), "step_norm": _value(found.step_gradient_norm),
            "projection": _value(found.projection), "cosine": _value(found.cosine),
        },
        "step": {
            "optimizer_step": found.place.optimizer_step, "optimizer_steps": found.optimizer_steps, "rank": found.rank,
            "micro_batch": found.place.micro_batch, "micro_batches": found.micro_batches, "denominator": found.denominator,
        },
        "tokens": ids | {field.name: _values(getattr(found.tokens, field.name)) for field in fields(TokenTerms)},
        "replay": {
            "checkpoint": plan.checkpoint.name if plan.checkpoint else None,
            "trained_again": [{**asdict(check), "max_difference": _value(check.max_difference)} for check in replayed.checks],
            "notes": list(plan.notes),
        },
    }  # fmt: skip


def _values(array: NDArray[Any] | None) -> list[float | bool | None] | None:
    if array is None:
        return None
    return [bool(value) if array.dtype == np.bool_ else _value(float(value)) for value in array]


def _value(number: float | None) -> float | None:
    """Return a number, None where it is not finite: JSON has no word for that."""
    return number if number is not None and math.isfinite(number) else None
