"""What every policy loss returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Policy loss of the N trained tokens of a micro-batch."""

    loss: Tensor  # float32 [N], nats, with gradient
    clipped: Tensor  # bool [N], whether the clip decides the token's loss
    ratio: Tensor  # float32 [N], new probability over old as the loss compares it with its bounds; no gradient
