"""Completions of a micro-batch, one behind the other in a flat tensor: sums, means and spreading, each differentiable.

Axes: N trained tokens, S completions in row order.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Segments:
    """Which completion each token belongs to."""

    index: Tensor  # int64 [N], 0 to S - 1, never falling
    lengths: Tensor  # float32 [S], trained tokens of each; may be 0

    def sums(self, x: Tensor) -> Tensor:
        """Return the sum over each completion's tokens, `[N]` -> `[S]`."""
        return x.new_zeros(len(self.lengths)).index_add(0, self.index, x)

    def means(self, x: Tensor) -> Tensor:
        """Return the mean over each completion's tokens, `[N]` -> `[S]`; 0 for one without tokens."""
        return self.sums(x) / self.lengths.clamp(min=1)

    def spread(self, x: Tensor) -> Tensor:
        """Return each completion's value at each of its tokens, `[S]` -> `[N]`."""
        return x.index_select(0, self.index)
