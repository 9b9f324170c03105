"""Weights for having been sampled by the engine instead of the learner, as `algo.importance` names them.

Engine and learner compute the same weights' log-probabilities a little differently, and asynchronous groups come from older weights.
Uncorrected this biases the gradient and can collapse a run.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.importance.geometric import geometric
from toolrl.algo.importance.masked import masked
from toolrl.algo.importance.sequence import sequence
from toolrl.algo.importance.token import token
from toolrl.algo.segments import Segments
from toolrl.config.learning import AlgoConfig


def importance_weights(algo: AlgoConfig, old_logp: Tensor, engine_logp: Tensor, segments: Segments) -> Tensor:
    """Return the weight of each token `[N]`, between 0 and `algo.importance_cap`, without gradient; 1 where the correction is off.

    Args:
        algo: Which correction, and its bounds.
        old_logp: The learner's log-probabilities `[N]` at the start of the batch.
        engine_logp: The engine's `[N]`, recorded while sampling.
        segments: Which completion each token belongs to.

    Raises:
        ValueError: `algo.importance` is unknown.
    """
    log_ratio = (old_logp - engine_logp).detach()
    match algo.importance:
        case "token":
            return token(log_ratio, algo.importance_cap)
        case "sequence":
            return sequence(log_ratio, segments, algo.importance_cap)
        case "geometric":
            return geometric(log_ratio, segments, algo.importance_cap)
        case "masked":
            return masked(log_ratio, algo.importance_floor, algo.importance_cap)
        case "off":
            return torch.ones_like(log_ratio)
    raise ValueError(f"algo.importance: got {algo.importance!r}; choose token, sequence, masked, geometric or off")
