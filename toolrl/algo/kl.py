"""Estimates of KL(policy ‖ reference) from the log-probabilities of sampled tokens.

Source: Schulman 2020, "Approximating KL divergence" (joschu.net/blog/kl-approx.html). In the reward the value counts:
the expectations of k1 and k3 are the KL. In the loss the gradient counts: in expectation k2's is that of KL(policy ‖ reference), k3's
that of KL(reference ‖ policy), and k1's is 0, so that k1 in the loss adds noise and pulls nowhere (arXiv 2506.09477).
"""

from __future__ import annotations

from torch import Tensor

from toolrl.algo.bounded_exp import bounded_exp


def kl(estimator: str, logp: Tensor, reference_logp: Tensor) -> Tensor:
    """Return the estimate of each token `[N]`, nats, with `d = reference_logp - logp`.

    k1 is `-d`, k2 is `d² / 2`, k3 is `exp(d) - d - 1`. k3 is linear beyond `EXP_LIMIT`, so that it still pulls back where a clamp would
    have no gradient.

    Raises:
        ValueError: `estimator` is none of them.
    """
    d = reference_logp - logp
    match estimator:
        case "k1":
            return -d
        case "k2":
            return d.square() / 2
        case "k3":
            return bounded_exp(d) - d - 1
    raise ValueError(f"algo.kl_estimator: got {estimator!r}; choose k1, k2 or k3")
