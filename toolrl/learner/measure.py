"""What a rank measures while it trains, added up over the ranks at the end of the batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from toolrl.algo.kl import kl
from toolrl.monitor.trace import SPANS

PARTS = ("forward_s", "backward_s", "optimizer_s", "old_logprobs_s", "reference_s")
SUMS = (
    "tokens", "loss", "policy", "kl", "entropy", "clipped", "importance", "real", "computed", "pairs",
    "compared", "abs_dlogp", "k3_dlogp", "weight", "weight2",
)  # fmt: skip
MAXIMA = ("ratio", "dlogp", *PARTS)
FARTHEST = 100.0
"""Nats beyond which a weight grows and falls no more: its square stays a number, so that what is absurd is reported, not a crash."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Ranks:
    """The ranks of the learner, as sums over them see them. Every method is collective."""

    device: str
    """`cpu` or `cuda`."""
    copies: int = 1
    """Ranks that hold the same shard, because they share its sequences: what all of them add counts once."""

    def sum(self, totals: Tensor) -> Tensor:
        """Return each value summed over the shards."""
        totals = totals.clone()
        if dist.get_world_size() > 1:
            dist.all_reduce(totals)
        return totals / self.copies

    def max(self, values: Tensor) -> Tensor:
        """Return the largest of each value."""
        values = values.clone()
        if dist.get_world_size() > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def summed(self, values: Sequence[float]) -> list[float]:
        """Return each value summed over the shards, in double precision."""
        totals: list[float] = self.sum(torch.tensor(values, dtype=torch.float64, device=self.device)).tolist()
        return totals

    def union(self, own: Mapping[Key, Any]) -> dict[Key, Any]:
        """Return the entries of all ranks; ranks that share a key agree on its value."""
        found: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(found, dict(own))
        return {key: value for each in found for key, value in each.items()}


class Meter:
    """Sums and maxima of one batch on one rank.

    Args:
        ranks: Over whom to add up. The sums live on their device until they are read: reading each one would make a GPU wait.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64, device=ranks.device)
        self._maxima = torch.zeros(len(MAXIMA), dtype=torch.float64, device=ranks.device)

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
        weight = d.double().clamp(-FARTHEST, FARTHEST).exp()
        self.add(compared=len(d), abs_dlogp=d.abs(), k3_dlogp=kl("k3", engine_logp, learner_logp), weight=weight, weight2=weight.square())
        self.raise_to("dlogp", d.abs())

    @contextmanager
    def seconds(self, part: str, draws: Iterable[int] = ()) -> Iterator[None]:
        """Add the seconds of a block to `part`; `draws` says in a trace what it was about."""
        started = time.perf_counter()
        yield
        if self._ranks.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        self._maxima[MAXIMA.index(part)] += seconds
        about = ",".join(map(str, draws))
        SPANS.add(part.removesuffix("_s"), seconds, **({"draws": about} if about else {}))

    def reduced(self) -> dict[str, float]:
        """Return sums over all ranks and the largest of the maxima, so far. Collective."""
        sums = dict(zip(SUMS, self._ranks.sum(self._sums).tolist(), strict=True))
        largest = zip(MAXIMA, self._ranks.max(self._maxima).tolist(), strict=True)
        return sums | {f"max_{name}" if name not in PARTS else name: value for name, value in largest}
