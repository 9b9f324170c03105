"""Verdicts -> advantages: how much better a completion is than its siblings.

    ScoredGroup ─> rewards, shaped by length where asked ─> estimator of `algo.advantage` ─> Trajectory

A completion without a reward (its verifier failed) is in no statistic and gets 0: a failure is not a wrong answer. A group with
nothing to compare (one rewarded member, or all equal) gets 0 throughout, never the raw reward.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolrl.algo.advantages.batch import batch_normalised
from toolrl.algo.advantages.group import group_normalised
from toolrl.algo.advantages.leave_one_out import leave_one_out
from toolrl.algo.advantages.mean import mean_centred
from toolrl.algo.overlong import overlong_punishment
from toolrl.config.learning import AlgoConfig
from toolrl.types import ScoredGroup, Trajectory


def rewards(algo: AlgoConfig, scored: ScoredGroup, max_tokens: int) -> tuple[float | None, ...]:
    """Return the rewards `[G]` that advantages are made of; None where the verifier failed.

    They are the verdicts', less the overlong punishment where `algo.truncated` is `shape`: a group whose verdicts agree may then still
    learn to be brief, unless `loop.refill` replaced it. Where it is `mask`, truncated completions stay in the statistics of their group.

    Args:
        algo: How completions near the limit are treated.
        scored: A group.
        max_tokens: `sampling.max_tokens`.
    """
    judged = tuple(verdict.reward for verdict in scored.verdicts)
    if algo.truncated != "shape":
        return judged
    lengths = zip(judged, scored.group.completion_tokens, strict=True)
    return tuple(None if r is None else r + overlong_punishment(n, max_tokens, algo.overlong_buffer) for r, n in lengths)


def advantages(algo: AlgoConfig, rewards: Sequence[Sequence[float | None]]) -> tuple[tuple[float, ...], ...]:
    """Return the advantages of all groups of a batch, in the shape of their rewards.

    Args:
        algo: Which estimator, and its eps.
        rewards: Of each completion of each group; None where the verifier failed.

    Raises:
        ValueError: `algo.advantage` is unknown.

    >>> advantages(AlgoConfig(advantage="mean"), [[1.0, None, 0.0], [1.0, None]])
    ((0.5, 0.0, -0.5), (0.0, 0.0))
    """
    known = [[reward for reward in group if reward is not None] for group in rewards]
    comparable = [len(set(group)) > 1 for group in known]
    made = iter(_estimates(algo, known, comparable))
    return tuple(_placed(next(made), group) if compare else (0.0,) * len(group) for group, compare in zip(rewards, comparable, strict=True))


def trajectories(algo: AlgoConfig, groups: Sequence[ScoredGroup], max_tokens: int) -> tuple[Trajectory, ...]:
    """Return the groups of a batch with the advantage of each of their completions.

    Args:
        algo: Which estimator, and how completions near the limit are treated.
        groups: All groups of the batch: estimators may compare across them.
        max_tokens: `sampling.max_tokens`.
    """
    made = advantages(algo, [rewards(algo, scored, max_tokens) for scored in groups])
    return tuple(Trajectory(scored, each) for scored, each in zip(groups, made, strict=True))


def _estimates(algo: AlgoConfig, known: list[list[float]], comparable: list[bool]) -> list[list[float]]:
    """Advantages of the rewarded members of the comparable groups."""
    some = [group for group, compare in zip(known, comparable, strict=True) if compare]
    if not some:
        return []
    match algo.advantage:
        case "group":
            return [group_normalised(group, algo.advantage_eps) for group in some]
        case "mean":
            return [mean_centred(group) for group in some]
        case "leave_one_out":
            return [leave_one_out(group) for group in some]
        case "batch":
            whole = [group for group in known if group]
            made = batch_normalised(whole, algo.advantage_eps)
            return [each for each, group in zip(made, whole, strict=True) if len(set(group)) > 1]
    raise ValueError(f"algo.advantage: got {algo.advantage!r}; choose group, mean, leave_one_out or batch")


def _placed(made: list[float], rewards: Sequence[float | None]) -> tuple[float, ...]:
    """Put advantages back among the members without a reward, who get 0."""
    values = iter(made)
    return tuple(0.0 if reward is None else next(values) for reward in rewards)
