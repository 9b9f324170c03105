"""What a rank measures while it trains, added up over the ranks at the end of the batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from toolrl.algo.kl import kl

PARTS = ("forward_s", "backward_s", "optimizer_s", "old_logprobs_s", "reference_s")
SUMS = ("tokens", "loss", "policy", "kl", "entropy", "clipped", "real", "computed", "abs_dlogp", "k3_dlogp", "weight", "weight2")
MAXIMA = ("ratio", "dlogp", *PARTS)


class Meter:
    """Sums and maxima of one batch on one rank.

    Args:
        device: Where the sums live until they are read: reading each one would make a GPU wait.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64, device=device)
        self._maxima = torch.zeros(len(MAXIMA), dtype=torch.float64, device=device)

    def add(self, **values: Tensor | float) -> None:
        """Add to sums by name; a tensor is summed up first."""
        for name, value in values.items():
            self._sums[SUMS.index(name)] += value.detach().sum() if isinstance(value, Tensor) else value

    def raise_to(self, name: str, values: Tensor) -> None:
        """Raise a maximum to the largest of `values`, if there are any."""
        if values.numel():
            self._maxima[MAXIMA.index(name)].clamp_(min=values.detach().max().double())

    def engine_mismatch(self, learner_logp: Tensor, engine_logp: Tensor) -> None:
        """Compare the two log-probabilities of sampled tokens, under the weights at the start of the batch."""
        d = learner_logp - engine_logp
        weight = d.double().exp()
        self.add(abs_dlogp=d.abs(), k3_dlogp=kl("k3", engine_logp, learner_logp), weight=weight, weight2=weight.square())
        self.raise_to("dlogp", d.abs())

    @contextmanager
    def seconds(self, part: str) -> Iterator[None]:
        """Add the seconds of a block to `part`."""
        started = time.perf_counter()
        yield
        if self._device == "cuda":
            torch.cuda.synchronize()
        self._maxima[MAXIMA.index(part)] += time.perf_counter() - started

    def reduced(self) -> dict[str, float]:
        """Return sums over all ranks and the largest of the maxima. Collective."""
        if dist.get_world_size() > 1:
            dist.all_reduce(self._sums)
            dist.all_reduce(self._maxima, op=dist.ReduceOp.MAX)
        sums = dict(zip(SUMS, self._sums.tolist(), strict=True))
        return sums | {f"max_{name}" if name not in PARTS else name: v for name, v in zip(MAXIMA, self._maxima.tolist(), strict=True)}


def summed(values: Sequence[float], device: str) -> list[float]:
    """Return each value summed over all ranks. Collective."""
    totals = torch.tensor(values, dtype=torch.float64, device=device)
    if dist.get_world_size() > 1:
        dist.all_reduce(totals)
    return totals.tolist()
