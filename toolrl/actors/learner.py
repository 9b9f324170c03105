"""The learner group as Ray actors: one actor for each rank, and the group that the loop sees.

    Batch ─ shard_batch ─> a shard for each rank ─> the rank fetches the groups of its shard only ─> one step of the group

A rank that fails ends the wait for all: the others would sit in a collective until its deadline.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from toolrl.actors.engine import EngineHandle
from toolrl.actors.wait import fetch, gather, one
from toolrl.config.schema import LearnerConfig
from toolrl.errors import LearnerError
from toolrl.learner.packing import Demonstration, RankShard, shard_batch, shard_demonstrations
from toolrl.types import Batch, StepReport


class LearnerGroup:
    """Implements `protocols.Learner`, and the learner's side of a push, over the ranks' actors."""

    def __init__(self, ranks: Sequence[Any], config: LearnerConfig) -> None:
        self._ranks = {f"learner-{i}": actor for i, actor in enumerate(ranks)}
        self._config = config

    async def start(self) -> None:
        """Form the group and load the model. Raises DeadlineError, LearnerError, or the UserError of a model that cannot be loaded."""
        deadline_s = self._config.start_timeout_s
        host, port = await one("starting the learner", "learner-0", self._first.address.remote(), timeout_s=deadline_s, error=LearnerError)
        await self._all("starting the learner", "setup", host, port, timeout_s=deadline_s)

    async def step(self, batch: Batch) -> StepReport:
        """Train one batch. Raises LearnerError or DeadlineError."""
        shards = shard_batch(
            batch,
            num_ranks=len(self._ranks),
            minibatches=self._config.minibatches,
            max_tokens=self._config.max_tokens_per_microbatch,
        )
        return await self._step("training a batch", "step", shards)

    async def sft_step(self, rows: Sequence[Demonstration]) -> StepReport:
        """Take one optimizer step of cross-entropy. Raises LearnerError or DeadlineError."""
        shards = shard_demonstrations(rows, num_ranks=len(self._ranks), max_tokens=self._config.max_tokens_per_microbatch)
        return await self._step("training demonstrations", "sft_step", shards)

    async def connect(self, engines: Sequence[EngineHandle]) -> None:
        """Open a new transfer group to `engines`, in place of the one before."""
        links = [(engine.name, engine.num_workers, engine.actor) for engine in engines]
        await self._all("opening the weight transfer", "connect", links)

    async def send(self) -> Any:
        """Send the weights to the engines; returns the manifest of what was sent."""
        return (await self._all("sending weights", "send"))[0]

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the learner's log-probabilities (temperature 1) of tokens 1 to T - 1 of each sequence."""
        found: list[NDArray[np.float32]] = (await self._all("probing the learner", "probe", list(sequences)))[0]
        return found

    async def save(self, folder: Path, *, timeout_s: float) -> None:
        """Let every rank write its part of a checkpoint into `folder`."""
        await self._all("saving a checkpoint", "save", str(folder), timeout_s=timeout_s)

    async def load(self, folder: Path, *, timeout_s: float) -> None:
        """Let every rank continue from `folder`."""
        await self._all("loading a checkpoint", "load", str(folder), timeout_s=timeout_s)

    async def export(self, folder: Path, *, timeout_s: float) -> None:
        """Write the weights as a Hugging Face folder."""
        await self._all("exporting the model", "export", str(folder), timeout_s=timeout_s)

    async def _step(self, what: str, method: str, shards: Sequence[Any]) -> StepReport:
        calls = {name: getattr(rank, method).remote(shard) for (name, rank), shard in zip(self._ranks.items(), shards, strict=True)}
        results = await gather(what, calls, timeout_s=self._config.step_timeout_s, error=LearnerError)
        optimizer_steps, metrics = results[0]
        return StepReport(optimizer_steps=optimizer_steps, metrics=metrics)

    async def _all(self, what: str, method: str, *arguments: Any, timeout_s: float | None = None) -> list[Any]:
        calls = {name: getattr(rank, method).remote(*arguments) for name, rank in self._ranks.items()}
        return await gather(what, calls, timeout_s=timeout_s or self._config.step_timeout_s, error=LearnerError)

    @property
    def _first(self) -> Any:
        return self._ranks["learner-0"]


def free_port(host: str) -> int:
    """Return a port of `host` (this machine) that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@ray.remote
class LearnerActor:
    """One rank in a process of its own. `make_rank` builds it here, after the environment is set."""

    def __init__(self, rank: int, world_size: int, arguments: Mapping[str, Any], sender: Mapping[str, Any] | None, fetch_timeout_s: float) -> None:
        from toolrl.learner.rank import LearnerRank

        self._rank, self._world_size = rank, world_size
        self._learner = LearnerRank(**arguments)
        self._sender_arguments = sender
        self._sender: Any = None
        self._fetch_timeout_s = fetch_timeout_s
