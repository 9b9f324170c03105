"""From token losses to the scalar to differentiate: mean of tokens, of completions, or over a fixed length.

    loss = Σ over tokens of weight · token loss / denominator

The weight is a property of the token's completion, the denominator one of the whole optimizer step over all ranks, never of the
micro-batch. So any split into micro-batches and ranks has the same gradient, for policy term, KL and entropy alike.

| `algo.aggregation` | weight | denominator | source |
|---|---|---|---|
| token_mean | 1 | trained tokens | DAPO (arXiv 2503.14476, equation 8) |
| sequence_mean | 1 / trained tokens of the completion | completions | GRPO (arXiv 2402.03300, equation 3) |
| constant | 1 / `algo.loss_constant` | completions | Dr. GRPO (arXiv 2503.20783, section 3.2) |
"""

from __future__ import annotations

import torch
from torch import Tensor

from toolrl.algo.segments import Segments


def token_weights(aggregation: str, segments: Segments, constant: float) -> Tensor:
    """Return the weight of each token `[N]`, float32.

    Args:
        aggregation: `algo.aggregation`.
        segments: Completions of the micro-batch, each whole.
        constant: `algo.loss_constant`, tokens, above 0.

    Raises:
        ValueError: `aggregation` is unknown.
    """
    match aggregation:
        case "token_mean":
            of_each = torch.ones_like(segments.lengths)
        case "sequence_mean":
            of_each = 1 / segments.lengths.clamp(min=1)
        case "constant":
            of_each = torch.full_like(segments.lengths, 1 / constant)
        case _:
            raise ValueError(f"algo.aggregation: got {aggregation!r}; choose token_mean, sequence_mean or constant")
    return segments.spread(of_each)


def denominator(aggregation: str, *, tokens: float, completions: float) -> float:
    """Return what the weighted token losses of an optimizer step are divided by.

    Args:
        aggregation: `algo.aggregation`.
        tokens: Trained tokens of the optimizer step, all ranks together.
        completions: Completions with a trained token in it, all ranks together.
    """
    return tokens if aggregation == "token_mean" else completions


def aggregate(loss: Tensor, denominator: float) -> Tensor:
    """Return the sum of weighted token losses over the denominator of the whole optimizer step.

    Raises:
        ValueError: `denominator` is not positive; such a step has nothing to train and must be skipped.
    """
    if denominator <= 0:
        raise ValueError(f"denominator: got {denominator}; a step without trained tokens must be skipped")
    return loss.sum() / denominator
