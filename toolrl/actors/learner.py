"""The learner group as Ray actors: one actor for each rank, and the group that the loop sees.

    Batch ─ shard_batch ─> a shard for each rank ─> the rank fetches the groups of its shard only ─> one step of the group

A rank that fails ends the wait for all: the others would sit in a collective until its deadline.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from toolrl.actors.engine import EngineHandle
from toolrl.actors.wait import fetch, gather, one
from toolrl.algo.advantage import rewards
from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.errors import CheckpointError, LearnerError, LearnerLostError
from toolrl.learner.inspection import Inspection, Place, place_of
from toolrl.learner.packing import Demonstration, DemonstrationShard, RankShard, shard_batch, shard_demonstrations
from toolrl.types import Batch, Group, StepReport, TrainedGroup
from toolrl.weights.manifest import Manifest


class LearnerGroup:
    """Implements `protocols.Learner`, and the learner's side of a push, over the ranks' actors.

    Args:
        ranks: Actors of `LearnerActor`, rank 0 first.
        config: Settings of the group.
        algo: Which completions are trained, and whether the KL penalty goes into the reward; None in supervised training.
        max_tokens: `sampling.max_tokens`; of no use to supervised training.
    """

    def __init__(
        self,
        ranks: Sequence[Any],
        config: LearnerConfig,
        *,
        algo: AlgoConfig | None = None,
        max_tokens: int = 0,
    ) -> None:
        self._ranks = {f"learner-{i}": actor for i, actor in enumerate(ranks)}
        self._config = config
        self._algo = algo or AlgoConfig()
        self._max_tokens = max_tokens

    async def start(self) -> None:
        """Form the group and load the model. Raises DeadlineError, LearnerError, or the UserError of a model that cannot be loaded."""
        deadline_s = self._config.start_timeout_s
        what, first = "starting the learner", self._ranks["learner-0"]
        host, port = await one(what, "learner-0", first.address.remote(), timeout_s=deadline_s, error=LearnerError)
        await self._all(what, "setup", host, port, timeout_s=deadline_s)

    async def step(self, batch: Batch) -> StepReport:
        """Train one batch. Raises LearnerError or DeadlineError."""
        return await self._step("training a batch", "step", self._shards(batch))

    async def inspect(self, batch: Batch, draw: int, sample: int) -> Inspection:
        """Train a batch up to the optimizer step of one of its completions, and look at it there. Raises LearnerError or DeadlineError."""
        shards = self._shards(batch)
        found = await self._each("inspecting a completion", "inspect", shards, place_of(shards, draw, sample))
        inspection: Inspection = next(each for each in found if each is not None)
        return inspection

    async def sft_step(self, rows: Sequence[Demonstration]) -> StepReport:
        """Take one optimizer step of cross-entropy. Raises LearnerError or DeadlineError."""
        return await self._step("training demonstrations", "sft_step", self._demonstration_shards(rows))

    async def sft_losses(self, rows: Sequence[Demonstration]) -> list[tuple[float, int]]:
        """Return sum of losses (nats) and number of tokens of each demonstration, in any order. Raises LearnerError or DeadlineError."""
        found = await self._each("measuring demonstrations", "sft_losses", self._demonstration_shards(rows))
        return [loss for losses in found[:: self._config.sequence_parallel] for loss in losses]

    async def connect(self, engines: Sequence[EngineHandle]) -> None:
        """Form a transfer group with `engines`, in place of the one before."""
        links = [(engine.name, engine.num_workers, engine.actor) for engine in engines]
        await self._all("opening the weight transfer", "connect", links)

    async def send(self) -> Manifest:
        """Send the weights to the engines; returns what had to be sent."""
        manifest: Manifest = (await self._all("sending weights", "send"))[0]
        return manifest

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the learner's log-probabilities (temperature 1) of tokens 1 to T - 1 of each sequence."""
        found: list[NDArray[np.float32]] = (await self._all("probing the learner", "probe", list(sequences)))[0]
        return found

    async def onload(self) -> None:
        """Bring everything that trains back to the GPUs, where it shares them with engines."""
        await self._all("moving the learner in", "onload")

    async def offload(self, *, parameters: bool) -> None:
        """Move gradients and optimizer states to host memory; with `parameters`, the model's shards too."""
        await self._all("moving the learner out", "offload", parameters)

    async def save(self, folder: Path, *, timeout_s: float) -> None:
        """Let every rank write its part of a checkpoint into `folder`."""
        await self._all("saving a checkpoint", "save", str(folder), timeout_s=timeout_s)

    async def load(self, folder: Path, *, timeout_s: float) -> None:
        """Let every rank continue from `folder`."""
        await self._all("loading a checkpoint", "load", str(folder), timeout_s=timeout_s)

    async def export(self, folder: Path, *, timeout_s: float) -> None:
        """Write the weights as a Hugging Face folder."""
        await self._all("exporting the model", "export", str(folder), timeout_s=timeout_s)

    def _demonstration_shards(self, rows: Sequence[Demonstration]) -> Sequence[DemonstrationShard]:
        return shard_demonstrations(rows, num_ranks=self._config.data_parallel, max_tokens=self._config.max_tokens_per_microbatch)

    def _shards(self, batch: Batch) -> Sequence[RankShard]:
        """Return what each group of ranks with the same sequences does with a batch."""
        shards = shard_batch(
            batch,
            num_ranks=self._config.data_parallel,
            minibatches=self._config.minibatches,
            max_tokens=self._config.max_tokens_per_microbatch,
            drop_truncated=self._algo.truncated == "mask",
            share_prompts=self._config.share_prompts,
        )
        if not (self._algo.kl_coef and self._algo.kl_in == "reward"):
            return shards
        made_of = {t.scored.group.draw: rewards(self._algo, t.scored, self._max_tokens) for t in batch.trajectories}
        return [replace(shard, rewards={draw: made_of[draw] for draw in shard.handles}) for shard in shards]

    async def _step(self, what: str, method: str, shards: Sequence[Any]) -> StepReport:
        results = await self._each(what, method, shards)
        optimizer_steps, metrics, _ = results[0]
        return StepReport(optimizer_steps, metrics, {draw: group for _, _, trained in results for draw, group in trained.items()})

    async def _each(self, what: str, method: str, shards: Sequence[Any], *arguments: Any) -> list[Any]:
        share = self._config.sequence_parallel  # consecutive ranks that compute the same shard together
        calls = {name: getattr(rank, method).remote(shards[i // share], *arguments) for i, (name, rank) in enumerate(self._ranks.items())}
        return await gather(what, calls, timeout_s=self._config.step_timeout_s, error=LearnerError, lost=LearnerLostError)

    async def _all(self, what: str, method: str, *arguments: Any, timeout_s: float | None = None) -> list[Any]:
        calls = {name: getattr(rank, method).remote(*arguments) for name, rank in self._ranks.items()}
        deadline_s = timeout_s or self._config.step_timeout_s
        return await gather(what, calls, timeout_s=deadline_s, error=LearnerError, lost=LearnerLostError)


@dataclass(frozen=True)
class SenderSettings:
    """How a rank sends its weights."""

    backend: str
    bucket_bytes: int
    dtype: str
    """Type on the wire, by torch's name."""
    timeout_s: float


class LearnerActor:
    """One rank in a process of its own."""

    def __init__(
        self, rank: int, world_size: int, arguments: Mapping[str, Any], sender: SenderSettings | None, fetch_timeout_s: float
    ) -> None:
        from toolrl.learner.rank import LearnerRank  # only this process needs DeepSpeed

        self._rank, self._world_size = rank, world_size
        self._learner = LearnerRank(**arguments)
        self._sender_settings = sender
        self._sender: Any = None
        self._fetch_timeout_s = fetch_timeout_s

    def __repr__(self) -> str:
        """Name the rank in Ray's logs and dashboard."""
        return f"learner-{self._rank}"

    def address(self) -> tuple[str, int]:
        """Return where rank 0 can be met: this node's address and a free port."""
        host = ray.util.get_node_ip_address()
        return host, _free_port(host)

    def gpus(self) -> list[str]:
        """Return the GPUs that Ray gave this rank, as `CUDA_VISIBLE_DEVICES` names them; asked before anything touches one."""
        return [str(gpu) for gpu in ray.get_gpu_ids()]

    def setup(self, host: str, port: int) -> None:
        """Join the group and load the model."""
        self._learner.setup(self._rank, self._world_size, host, port)

    def step(self, shard: RankShard) -> tuple[int, dict[str, float], dict[int, TrainedGroup]]:
        """Fetch the groups of this rank's shard, and train it with the others."""
        metrics, trained = self._learner.step(shard, self._groups(shard))
        return self._learner.optimizer_steps, metrics, trained

    def inspect(self, shard: RankShard, place: Place) -> Inspection | None:
        """Fetch the groups of this rank's shard, and train up to a completion with the others; None where another rank has it."""
        return self._learner.inspect(shard, self._groups(shard), place)

    def sft_step(self, shard: DemonstrationShard) -> tuple[int, dict[str, float], dict[int, TrainedGroup]]:
        """Train demonstrations with the others."""
        metrics = self._learner.sft_step(shard)
        return self._learner.optimizer_steps, metrics, {}

    def sft_losses(self, shard: DemonstrationShard) -> list[tuple[float, int]]:
        """Measure demonstrations with the others."""
        return self._learner.sft_losses(shard)

    def _groups(self, shard: RankShard) -> dict[int, Group]:
        groups = fetch("groups to train", list(shard.handles.values()), timeout_s=self._fetch_timeout_s)
        return dict(zip(shard.handles, groups, strict=True))

    def connect(self, engines: Sequence[tuple[str, int, Any]]) -> None:
        """Form a transfer group with the engines (name, workers, actor)."""
        import torch

        from toolrl.weights.client import EngineLink
        from toolrl.weights.sender import WeightSender

        settings = self._sender_settings
        if settings is None:
            raise LearnerError("this learner group was started without engines to send to")
        if self._sender is None:
            self._sender = WeightSender(
                self._learner.model,
                rank=self._rank,
                backend=settings.backend,
                bucket_bytes=settings.bucket_bytes,
                dtype=getattr(torch, settings.dtype),
            )
        links = [EngineLink(name, workers, _submit(actor)) for name, workers, actor in engines]
        self._sender.connect(ray.util.get_node_ip_address(), links, settings.timeout_s)

    def send(self) -> Any:
        """Send the weights; returns the manifest."""
        return self._sender.send()

    def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return log-probabilities at temperature 1."""
        return self._learner.logprobs(sequences, 1.0)

    def onload(self) -> None:
        """Bring what was moved out back to the GPU."""
        self._learner.onload()

    def offload(self, parameters: bool) -> None:
        """Move gradients and optimizer states to host memory; with `parameters`, the model's shards too."""
        self._learner.offload(parameters=parameters)

    def save(self, folder: str) -> None:
        """Write this rank's part of a checkpoint."""
        self._learner.save(_shared(folder))

    def load(self, folder: str) -> None:
        """Continue from a checkpoint."""
        self._learner.load(_shared(folder))

    def export(self, folder: str) -> None:
        """Write a Hugging Face folder, from rank 0."""
        self._learner.export(_shared(folder))


def _shared(folder: str) -> Path:
    """Return a folder that the driver made. Raises CheckpointError where this node does not see it: its files would be lost."""
    path = Path(folder)
    if not path.is_dir():
        where = ray.util.get_node_ip_address()
        raise CheckpointError(f"{folder}: not visible on node {where}; run.dir must be on a file system that every node shares")
    return path


def _submit(actor: Any) -> Callable[..., Future[Any]]:
    def submit(method: str, *arguments: Any) -> Future[Any]:
        future: Future[Any] = actor.call.remote(method, *arguments).future()
        return future

    return submit


def _free_port(host: str) -> int:
    """Return a port of this machine that nothing listens on now; another process may take it first, and then the start fails by name."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])
