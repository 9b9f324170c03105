"""How far apart the log-probabilities of engine and learner are, under the weights a batch begins with, and whether that may be trained.

Both compute the same model, by other kernels, precisions and orders of addition. A large difference is a fault (weights that did not
arrive, another temperature or dtype) or staleness without end, and training on it collapses runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolrl.errors import DivergedError


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Statistics of `d = learner - engine` over the sampled tokens of a batch, all ranks together."""

    tokens: int
    mean_abs: float  # nats
    max_abs: float  # nats
    kl: float  # nats, k3 of KL(engine ‖ learner)
    ess: float  # effective sample size of the weights exp(d), |d| up to 100, as a share of the tokens: 1 is no loss

    @classmethod
    def of(cls, total: Mapping[str, float]) -> Mismatch:
        """Make it of what `Meter.reduced` returns; at least one token was compared."""
        n = total["compared"]
        ess = total["weight"] ** 2 / (n * total["weight2"])
        return cls(round(n), total["abs_dlogp"] / n, total["max_dlogp"], total["k3_dlogp"] / n, ess)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of a step."""
        return {
            "learner/mismatch_mean_abs_dlogp": self.mean_abs,
            "learner/mismatch_max_abs_dlogp": self.max_abs,
            "learner/mismatch_kl": self.kl,
            "learner/ess": self.ess,
        }

    def check(self, bound: float) -> None:
        """Refuse to train what differs too much.

        Args:
            bound: `algo.mismatch_bound`; 0 lets everything pass.

        Raises:
            DivergedError: The mean |d| is above `bound`, or not a number.
        """
        if not bound or self.mean_abs <= bound:  # a NaN is not at most the bound
            return
        raise DivergedError(
            f"engine and learner disagree: mean |Δ log p| {self.mean_abs:.3g} nats over {self.tokens} tokens, more than "
            f"algo.mismatch_bound={bound:g} (max {self.max_abs:.3g}, KL {self.kl:.3g}, effective sample size {self.ess:.2f}); the batch "
            "is not trained. Compare the push's probes (weights/*), model.dtype with the engine's, and loop.max_staleness; if the figure "
            "has always been near the bound, raise the bound"
        )
