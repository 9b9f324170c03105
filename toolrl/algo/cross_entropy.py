"""The loss of supervised training."""

from __future__ import annotations

from torch import Tensor


def cross_entropy(logp: Tensor) -> Tensor:
    """Return `-logp` of each token, `[N]`, nats."""
    return -logp
