"""`algo.advantage: leave_one_out`. Each reward against the mean of the others: RLOO."""

from __future__ import annotations

import math
from collections.abc import Sequence


def leave_one_out(rewards: Sequence[float]) -> list[float]:
    """Return `reward - mean of the others` of one group: a baseline that does not depend on the completion it judges.

    Source: RLOO (arXiv 2402.14740, section "REINFORCE Leave-One-Out"; Kool et al. 2019). Equals n / (n - 1) times `reward - mean`.

    Args:
        rewards: Two or more.

    >>> leave_one_out([1.0, 0.0, 0.0])
    [1.0, -0.5, -0.5]
    """
    total, others = math.fsum(rewards), len(rewards) - 1
    return [reward - (total - reward) / others for reward in rewards]
