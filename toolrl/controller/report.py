"""What a batch says about the run: Batch -> metrics. Pure functions.

Rewards and lengths are those of every draw the batch consumed, replaced ones included: they describe the policy, not the selection.
Counts of work (completions, tokens), of what has advantage 0, and staleness are those of what is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, pstdev

from toolrl.algo.advantage import rewards
from toolrl.config.learning import AlgoConfig
from toolrl.types import Batch, ScoredGroup, Verdict


def batch_metrics(batch: Batch, algo: AlgoConfig, *, max_tokens: int, max_staleness: int) -> dict[str, float]:
    """Return the metrics of `batch` before it is trained. Staleness beyond the bound is a bug of ours: AssertionError.

    Args:
        batch: What is trained next.
        algo: How completions near the token limit are treated.
        max_tokens: `sampling.max_tokens`.
        max_staleness: `loop.max_staleness`.
    """
    work = _work(batch, masked=algo.truncated == "mask")
    punished = _overlong(batch, algo, max_tokens) if algo.truncated == "shape" else {}
    return {**work, **_zeros(batch), **_staleness(batch, max_staleness), **_rewards(batch), **punished, **_rollouts(batch)}


def rates(metrics: dict[str, float]) -> dict[str, float]:
    """Return what was trained per second of `loop/step_s`."""
    seconds = metrics["loop/step_s"]
    if seconds <= 0:
        return {}
    return {f"loop/{unit}_per_s": metrics[f"loop/{unit}"] / seconds for unit in ("completions", "tokens")}


def _work(batch: Batch, *, masked: bool) -> dict[str, float]:
    """Return what is trained; truncated completions are not where they are `masked`."""
    groups = [trajectory.scored.group for trajectory in batch.trajectories]
    lengths = [(n, masked and cut) for group in groups for n, cut in zip(group.completion_tokens, group.truncated, strict=True)]
    kept = [n for n, left_out in lengths if not left_out]
    dull = sum(trajectory.scored.dull for trajectory in batch.trajectories) + len(batch.dropped)
    return {
        "loop/draws": float(batch.draws_taken),
        "loop/dull_share": dull / batch.draws_taken,
        "loop/completions": float(len(kept)),
        "loop/tokens": float(sum(kept)),
        "loop/masked_completions": float(len(lengths) - len(kept)),
    }


def _zeros(batch: Batch) -> dict[str, float]:
    """Return how much of what is trained has advantage 0, by its cause."""
    single = agreeing = unjudged = 0
    for trajectory in batch.trajectories:
        judged = [verdict for verdict in trajectory.scored.verdicts if verdict.reward is not None]
        unjudged += len(trajectory.scored.verdicts) - len(judged)
        if len(judged) < 2:
            single += 1
        elif not any(trajectory.advantages):
            agreeing += 1
    return {
        "loop/single_groups": float(single),
        "loop/agreeing_groups": float(agreeing),
        "loop/unjudged_completions": float(unjudged),
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
    known = [verdict.reward for verdict in verdicts if verdict.reward is not None]
    metrics = {f"reward/reason/{reason}": n / len(verdicts) for reason, n in sorted(Counter(v.reason for v in verdicts).items())}
    metrics["reward/failed_share"] = 1 - len(known) / len(verdicts)
    if known:
        judged = [verdict for verdict in verdicts if verdict.reward is not None]
        metrics["reward/mean"] = fmean(known)
        metrics["reward/std"] = pstdev(known)
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


def _overlong(batch: Batch, algo: AlgoConfig, max_tokens: int) -> dict[str, float]:
    """Return what the rewards that advantages are made of lose for length."""
    scored = (*(trajectory.scored for trajectory in batch.trajectories), *batch.dropped)
    pairs = [
        (verdict.reward, shaped)
        for group in scored
        for verdict, shaped in zip(group.verdicts, rewards(algo, group, max_tokens), strict=True)
    ]
    lost = [shaped - reward for reward, shaped in pairs if reward is not None and shaped is not None]
    return {"reward/overlong": fmean(lost)} if lost else {}


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


def nothing_to_learn(groups: list[ScoredGroup], bound: int) -> str:
    """Return the words for a run of dull groups longer than `bound`."""
    rewards = [verdict.reward for scored in groups for verdict in scored.verdicts]
    known = [reward for reward in rewards if reward is not None]
    mean = f"mean reward {sum(known) / len(known):.3f}" if known else "none with a reward"
    return (
        f"{len(groups)} groups in a row (draws {groups[0].group.draw} to {groups[-1].group.draw}) taught nothing, "
        f"more than loop.max_dull_in_row={bound}: within each, all rewards agree ({len(rewards)} completions, {mean}, "
        f"{len(rewards) - len(known)} whose verifier failed). Near 0 the prompts are too hard or the form is unknown: start from "
        "a supervised checkpoint. Near 1 they are too easy. loop.refill=false trains them with advantage 0 instead"
    )
