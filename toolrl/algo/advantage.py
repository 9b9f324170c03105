"""Verdicts -> advantages: how much better a completion is than its siblings.

    ScoredGroup -> Trajectory

A completion without a reward (its verifier failed) is in no statistic and gets 0: a failure is not a wrong answer. A group with
nothing to compare (one rewarded member, or all equal) gets 0 throughout, never the raw reward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolrl.types import ScoredGroup, Trajectory


def group_advantages(rewards: Sequence[float | None], eps: float) -> tuple[float, ...]:
    """Return `(reward - mean) / (std + eps)` of one group, `std` over n - 1.

    Source: GRPO (arXiv 2402.03300, section 4.1.2), with the estimator of Tool-N1's code.

    Args:
        rewards: One for each completion; None where the verifier failed.
        eps: Added to the standard deviation.

    >>> group_advantages([1.0, 0.0, None, 1.0, 0.0], eps=0.0)[2]
    0.0
    >>> group_advantages([1.0, None], eps=1e-6)
    (0.0, 0.0)
    """
    known = [reward for reward in rewards if reward is not None]
    if len(set(known)) < 2:
        return (0.0,) * len(rewards)
    mean = math.fsum(known) / len(known)
    std = math.sqrt(math.fsum((reward - mean) ** 2 for reward in known) / (len(known) - 1))
    return tuple(0.0 if reward is None else (reward - mean) / (std + eps) for reward in rewards)


def trajectory(scored: ScoredGroup, eps: float) -> Trajectory:
    """Return the group with the advantage of each of its completions."""
    return Trajectory(scored, group_advantages([verdict.reward for verdict in scored.verdicts], eps))
