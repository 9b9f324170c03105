"""`algo.advantage: batch`. Less the group's mean, over the deviation of the whole batch: REINFORCE++ with a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolrl.algo.advantages.mean import mean_centred


def batch_normalised(groups: Sequence[Sequence[float]], eps: float) -> list[list[float]]:
    """Return `(reward - group mean) / (std + eps)`, `std` of the centred rewards of all groups, over n - 1.

    A group whose rewards all agree is part of the deviation, as 0s: with many of them the others count more, not less.

    Source: "REINFORCE++ w/ Baseline" (arXiv 2501.03262).

    Args:
        groups: Rewards of each group, at least one each; not all groups of equal rewards.
        eps: Added to the standard deviation.

    >>> batch_normalised([[2.0, 0.0], [1.0]], eps=0.0)  # centred 1, -1 and 0: std² = (1 + 1 + 0) / 2
    [[1.0, -1.0], [0.0]]
    """
    centred = [mean_centred(rewards) for rewards in groups]
    flat = [x for each in centred for x in each]
    # The mean of centred rewards is 0 in each group, hence in the batch.
    std = math.sqrt(math.fsum(x * x for x in flat) / (len(flat) - 1))
    return [[x / (std + eps) for x in each] for each in centred]
