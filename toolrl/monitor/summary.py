"""What came of a run, from the files of its surviving lineage: metrics.jsonl and rollouts/ -> the content of summary.json.

A run that was resumed has the summary of one that was not, since a rewind took everything else out of the folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from toolrl.monitor import rollouts
from toolrl.monitor.lines import Line, read_lines

ENDS = 5
"""Versions averaged for the first and the last training reward."""
LAST_STEPS = 25
"""Optimizer steps averaged for the last training loss."""
STAGES = ("wait_generation", "learner", "push", "eval", "checkpoint")


def summarise(metrics: Path, rollout_folder: Path, checkpoint: str | None) -> dict[str, Any]:
    """Return the content of summary.json; what was never measured is None.

    Args:
        metrics: metrics.jsonl.
        rollout_folder: rollouts/.
        checkpoint: Path of the newest checkpoint.
    """
    lines = read_lines(metrics)
    trained = [line for line in lines if line["version"] > 0]
    rewards = _values(trained, "reward/mean")
    step_s, completions = sum(_values(trained, "loop/step_s")), sum(_values(trained, "loop/completions"))
    tokens = sum(_values(trained, "loop/tokens"))
    return {
        "steps": max((line["version"] for line in trained), default=0),
        **_before_and_after(lines, "heldout_reward", "heldout/reward"),
        **_before_and_after(lines, "heldout_greedy", "heldout/greedy"),
        **_before_and_after(lines, "content_right", "heldout/content_right"),
        **_before_and_after(lines, "format_right", "heldout/format_right"),
        **_before_and_after(lines, "heldout_stderr", "heldout/stderr"),
        **_before_and_after(lines, "heldout_greedy_stderr", "heldout/greedy_stderr"),
        "train_reward_first": fmean(rewards[:ENDS]) if rewards else None,
        "train_reward_last": fmean(rewards[-ENDS:]) if rewards else None,
        "parity_max_abs_dlogp": max(_values(lines, "weights/parity_max_abs_dlogp"), default=None),
        "max_staleness_seen": max(map(int, _values(trained, "loop/staleness_max")), default=None),
        "completions": int(completions),
        "completions_per_s": completions / step_s if step_s else None,
        "tokens_per_s": tokens / step_s if step_s else None,
        "seconds_by_stage": _seconds(lines),
        "reasons": _reasons(rollout_folder),
        "checkpoint": checkpoint,
    }


def summarise_supervised(metrics: Path, *, checkpoint: str | None, best_step: int | None) -> dict[str, Any]:
    """Return the content of summary.json of a supervised run; what was never measured is None.

    Args:
        metrics: metrics.jsonl.
        checkpoint: Path of the newest checkpoint.
        best_step: Optimizer step of the best weights.
    """
    lines = read_lines(metrics)
    trained = [line for line in lines if line["version"] > 0]
    losses, tokens = _values(trained, "learner/loss"), sum(_values(trained, "learner/tokens"))
    step_s = sum(_values(trained, "loop/step_s"))
    measured = ("loss", "loss_stderr", "greedy", "greedy_stderr", "greedy_format_right", "greedy_content_right")
    found: dict[str, Any] = {
        "steps": max((line["version"] for line in trained), default=0),
        "loss_first": losses[0] if losses else None,
        "loss_last": fmean(losses[-LAST_STEPS:]) if losses else None,
    }
    for name in measured:
        found |= _before_and_after(lines, f"heldout_{name}", f"heldout/{name}")
    return found | {
        "best_step": best_step,
        "tokens": int(tokens),
        "tokens_per_s": tokens / step_s if step_s else None,
        "parity_max_abs_dlogp": max(_values(lines, "weights/parity_max_abs_dlogp"), default=None),
        "seconds_by_stage": {stage: seconds for stage, seconds in _seconds(lines).items() if stage != "wait_generation"},
        "checkpoint": checkpoint,
    }


def _values(lines: Iterable[Line], name: str) -> list[float]:
    return [line[name] for line in lines if line.get(name) is not None]


def _before_and_after(lines: list[Line], name: str, metric: str) -> dict[str, float | None]:
    values = _values(lines, metric)
    return {f"{name}_before": values[0] if values else None, f"{name}_after": values[-1] if values else None}


def _seconds(lines: list[Line]) -> dict[str, float]:
    """Add up each stage; `other` is the rest of the steps, so that all together are the wall time between the reports."""
    seconds = {stage: sum(_values(lines, f"loop/{stage}_s")) for stage in STAGES}
    return seconds | {"other": max(0.0, sum(_values(lines, "loop/step_s")) + seconds["eval"] - sum(seconds.values()))}


def _reasons(folder: Path) -> dict[str, int]:
    """Count the verdicts of every training completion by reason, the most frequent first."""
    counts = Counter(rollouts.read(folder, ["reason"]).column("reason").to_pylist())
    return dict(counts.most_common())
