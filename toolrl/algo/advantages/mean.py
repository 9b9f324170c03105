"""`algo.advantage: mean`. Less the group's mean, without a division: Dr. GRPO."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_centred(rewards: Sequence[float]) -> list[float]:
    """Return `reward - mean` of one group.

    Source: Dr. GRPO (arXiv 2503.20783, section 3.2): dividing by the deviation would favour prompts that are nearly always right or
    nearly always wrong.

    Args:
        rewards: At least one.

    >>> mean_centred([1.0, 0.0, 0.0, 1.0])
    [0.5, -0.5, -0.5, 0.5]
    """
    mean = math.fsum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]
