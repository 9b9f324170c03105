"""What a batch says about the run: Batch -> metrics. Pure functions.

Rewards and lengths are those of every draw the batch consumed, replaced ones included: they describe the policy, not the selection.
Counts of work (completions, tokens) and staleness are those of what is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, pstdev

from toolrl.types import Batch, Verdict


def batch_metrics(batch: Batch, max_staleness: int) -> dict[str, float]:
    """Return the metrics of `batch` before it is trained. Staleness beyond the bound is a bug of ours: AssertionError."""
    return {**_work(batch), **_staleness(batch, max_staleness), **_rewards(batch), **_rollouts(batch)}


def rates(metrics: dict[str, float]) -> dict[str, float]:
    """Return what was trained per second of `loop/step_s`."""
    seconds = metrics["loop/step_s"]
    if seconds <= 0:
        return {}
    return {f"loop/{unit}_per_s": metrics[f"loop/{unit}"] / seconds for unit in ("completions", "tokens")}


def _work(batch: Batch) -> dict[str, float]:
    groups = [trajectory.scored.group for trajectory in batch.trajectories]
    dull = sum(trajectory.scored.dull for trajectory in batch.trajectories) + len(batch.dropped)
    return {
        "loop/draws": float(batch.draws_taken),
        "loop/dull_share": dull / batch.draws_taken,
        "loop/completions": float(sum(len(group.completion_tokens) for group in groups)),
        "loop/tokens": float(sum(sum(group.completion_tokens) for group in groups)),
    }


def _staleness(batch: Batch, bound: int) -> dict[str, float]:
    ages = []
    for trajectory in batch.trajectories:
        group = trajectory.scored.group
        for oldest in group.oldest:
            age = batch.version - oldest
            assert 0 <= age <= bound, f"draw {group.draw} was sampled by version {oldest} and trains version {batch.version}; bound {bound}"
            ages.append(age)
    return {"loop/staleness_mean": fmean(ages), "loop/staleness_max": float(max(ages))}


def _rewards(batch: Batch) -> dict[str, float]:
    scored = (*(trajectory.scored for trajectory in batch.trajectories), *batch.dropped)
    verdicts = [verdict for group in scored for verdict in group.verdicts]
    rewards = [verdict.reward for verdict in verdicts if verdict.reward is not None]
    metrics = {f"reward/reason/{reason}": n / len(verdicts) for reason, n in sorted(Counter(v.reason for v in verdicts).items())}
    metrics["reward/failed_share"] = 1 - len(rewards) / len(verdicts)
    if rewards:
        judged = [verdict for verdict in verdicts if verdict.reward is not None]
        metrics["reward/mean"] = fmean(rewards)
        metrics["reward/std"] = pstdev(rewards)
        metrics["reward/format_right"] = fmean(verdict.format_right for verdict in judged)
        metrics["reward/content_right"] = fmean(verdict.content_right for verdict in judged)
        metrics |= _beside_bfcl([verdict for verdict in judged if verdict.bfcl_right is not None])
    return metrics


def _beside_bfcl(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return what BFCL's rules say of the same completions, and how often the mode's lenient reading says the same."""
    if not verdicts:
        return {}
    return {
        "reward/bfcl_right": fmean(bool(verdict.bfcl_right) for verdict in verdicts),
        "reward/strict_bfcl_agreement": fmean(verdict.bfcl_right == verdict.content_right for verdict in verdicts),
    }


def _rollouts(batch: Batch) -> dict[str, float]:
    groups = [*(trajectory.scored.group for trajectory in batch.trajectories), *(scored.group for scored in batch.dropped)]
    tokens = [n for group in groups for n in group.completion_tokens]
    return {
        "rollout/completion_tokens_mean": fmean(tokens),
        "rollout/completion_tokens_max": float(max(tokens)),
        "rollout/truncated_share": fmean(cut for group in groups for cut in group.truncated),
        "rollout/prompt_tokens_mean": fmean(group.prompt_tokens for group in groups),
        "rollout/sample_s_mean": fmean(group.sample_s for group in groups),
    }
