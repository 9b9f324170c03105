"""`algo.advantage: group`. Over the group's mean and deviation: GRPO."""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolrl.algo.advantages.mean import mean_centred


def group_normalised(rewards: Sequence[float], eps: float) -> list[float]:
    """Return `(reward - mean) / (std + eps)` of one group, `std` over n - 1.

    Source: GRPO (arXiv 2402.03300, section 4.1.2), with the estimator of the deviation that Tool-N1's code uses (`torch.std`).

    Args:
        rewards: Two or more, not all equal.
        eps: Added to the standard deviation.

    >>> group_normalised([1.0, 0.0, 0.0, 0.0], eps=0.0)
    [1.5, -0.5, -0.5, -0.5]
    """
    centred = mean_centred(rewards)
    std = math.sqrt(math.fsum(x * x for x in centred) / (len(centred) - 1))
    return [x / (std + eps) for x in centred]
