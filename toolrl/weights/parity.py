"""How near engine and learner are: the second of the two proofs of a push.

Both give log-probabilities of the same fixed sequences, and the mean difference tells wrong weights from rounding: rounding strikes few
tokens hard, wrong weights move all. In float32 the mean has a fixed bound, and so has a single token's difference, which on texts that
the model finds very unlikely rounding alone takes to twenty times the mean, more or less by the processor's instruction set. In bfloat16
the mean is compared with the mean at the first push.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolrl.errors import DisagreementError

CALIBRATION_FACTOR = 4.0
"""Away from float32, how many times the first push's mean |Δ log p| is still accepted."""
CALIBRATION_FLOOR = 1e-3
"""The least bound so found, in nats: a lucky first push must not stop a healthy run."""
CALIBRATION_CEILING = 0.1
"""The largest mean |Δ log p| a first push may have, in nats. Rounding stays well below; wrong weights do not."""

SINGLE_TOKEN_FACTOR = 50.0
"""In float32, how many times the mean's bound a single token may differ."""

Logprobs = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Parity:
    """|Δ log p| between two models over the same tokens, in nats."""

    max_abs: float
    mean_abs: float
    num_tokens: int


def parity(ours: Logprobs, theirs: Logprobs) -> Parity:
    """Compare log-probabilities [T - 1] of the same sequences. A value that is no number counts as infinitely far."""
    shapes = [a.shape for a in ours], [b.shape for b in theirs]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise DisagreementError(f"probe: learner and engine answered with different lengths, {shapes[0]} and {shapes[1]}")
    delta = np.abs(np.concatenate(ours).astype(np.float64) - np.concatenate(theirs))
    delta = np.where(np.isnan(delta), np.inf, delta)
    return Parity(float(delta.max()), float(delta.mean()), delta.size)


class ParityBound:
    """What a probe may show. Away from float32 it is set by the first probe it sees, and single tokens have no bound.

    Args:
        dtype: Compute type of learner and engines.
        bound: Of the mean |Δ log p| in float32, in nats.
    """

    def __init__(self, dtype: str, bound: float) -> None:
        self._exact = dtype == "float32"
        self._bound = bound if self._exact else CALIBRATION_CEILING
        self._calibrated = self._exact

    def check(self, engine: str, seen: Parity) -> None:
        """Raise DisagreementError where `seen` is out of bounds."""
        found = [("mean", seen.mean_abs, self._bound)]
        if self._exact:
            found.append(("largest", seen.max_abs, SINGLE_TOKEN_FACTOR * self._bound))
        for what, value, most in found:
            if value > most:
                raise DisagreementError(
                    f"{engine}: {what} |Δ log p| between engine and learner is {value:.3g} nats, more than {most:.3g} (mean "
                    f"{seen.mean_abs:.3g}, largest {seen.max_abs:.3g} over {seen.num_tokens} tokens): its weights are not the learner's"
                )

    def calibrate(self, seen: Sequence[Parity]) -> None:
        """Set the bound by the probes of the first push, once they have passed."""
        if not self._calibrated:
            self._bound = min(max(CALIBRATION_FACTOR * max(p.mean_abs for p in seen), CALIBRATION_FLOOR), CALIBRATION_CEILING)
            self._calibrated = True
