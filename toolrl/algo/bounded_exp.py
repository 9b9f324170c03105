"""An exponential that neither overflows nor goes dead far out."""

from __future__ import annotations

import torch
from torch import Tensor

EXP_LIMIT = 10.0
"""Nats above which `exp` continues as its tangent: no overflow, and the gradient stays alive instead of being clamped to 0."""


def bounded_exp(x: Tensor) -> Tensor:
    """Return `exp(x)`, continued as its tangent above `EXP_LIMIT`."""
    # relu, since at its bound a clamp has the gradient of both sides.
    return torch.exp(x.clamp(max=EXP_LIMIT)) * (1 + torch.relu(x - EXP_LIMIT))
