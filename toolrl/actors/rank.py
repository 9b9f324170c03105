"""One rank of the learner group as a Ray actor: what the group asks of it, with what comes out of the object store.

What the ranks do together fails with LearnerLostError where they cannot reach each other any more, though none of them may have died.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import ray
from numpy.typing import NDArray

from toolrl.actors.gauges import Live, Reading
from toolrl.actors.logs import speak
from toolrl.actors.wait import fetch
from toolrl.checkpoint.files import Seals, seal
from toolrl.errors import CheckpointError, LearnerError, LearnerLostError
from toolrl.learner.inspection import Inspection, Place
from toolrl.learner.packing import DemonstrationShard, RankShard
from toolrl.monitor.trace import SPANS, Span
from toolrl.types import Group, TrainedGroup

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class SenderSettings:
    """How a rank sends its weights."""

    backend: str
    bucket_bytes: int
    dtype: str
    """Type on the wire, by torch's name."""
    timeout_s: float


def together(method: Callable[Concatenate[LearnerActor, P], R]) -> Callable[Concatenate[LearnerActor, P], R]:
    """Mark what all ranks do together: where the group breaks in it, it raises LearnerLostError."""

    @wraps(method)
    def tried(self: LearnerActor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        from toolrl.learner.collective import is_broken  # only this process needs torch

        try:
            with SPANS.span(method.__name__):
                return method(self, *args, **kwargs)
        except Exception as failure:
            # A reader of checkpoints says of whatever goes wrong that the checkpoint is to blame.
            cause = failure.__cause__ if isinstance(failure, CheckpointError) else failure
            if cause is None or not is_broken(cause):
                raise
            raise LearnerLostError(f"{self!r}: {method.__name__}: the ranks cannot reach each other any more: {cause}") from failure

    return tried


class LearnerActor:
    """One rank in a process of its own."""

    def __init__(
        self,
        rank: int,
        world_size: int,
        arguments: Mapping[str, Any],
        sender: SenderSettings | None,
        fetch_timeout_s: float,
        run: str = "",
    ) -> None:
        from toolrl.learner.rank import LearnerRank  # only this process needs DeepSpeed

        self._rank, self._world_size = rank, world_size
        self._learner = LearnerRank(**arguments)
        self._sender_settings = sender
        self._sender: Any = None
        self._fetch_timeout_s = fetch_timeout_s
        speak(run, f"{self!r}")
        self._live = Live(run, self._readings, f"{self!r}")
        self._live.start()

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

    @together
    def setup(self, host: str, port: int) -> None:
        """Join the group and load the model."""
        self._learner.setup(self._rank, self._world_size, host, port)

    @together
    def step(self, shard: RankShard) -> tuple[int, dict[str, float], dict[int, TrainedGroup]]:
        """Fetch the groups of this rank's shard, and train it with the others."""
        metrics, trained = self._learner.step(shard, self._groups(shard))
        draws, steps = sorted(shard.handles), self._learner.optimizer_steps
        if draws:
            what = "%d draws from draw %d to draw %d trained in %.2f s; optimizer step %d"
            logger.info(what, len(draws), draws[0], draws[-1], metrics["learner/step_s"], steps)
        return self._learner.optimizer_steps, metrics, trained

    def _readings(self) -> list[Reading]:
        done, labels = self._learner.done, {"rank": str(self._rank)}
        found = [("learner/computed", labels, done.tokens), ("learner/computing_s", labels, done.seconds)]
        return [*found, *([("actor/gpu_memory", {"actor": f"{self!r}"}, float(done.gpu_bytes))] if done.gpu_bytes else [])]

    @together
    def inspect(self, shard: RankShard, place: Place) -> Inspection | None:
        """Fetch the groups of this rank's shard, and train up to a completion with the others; None where another rank has it."""
        return self._learner.inspect(shard, self._groups(shard), place)

    @together
    def sft_step(self, shard: DemonstrationShard) -> tuple[int, dict[str, float], dict[int, TrainedGroup]]:
        """Train demonstrations with the others."""
        metrics = self._learner.sft_step(shard)
        return self._learner.optimizer_steps, metrics, {}

    @together
    def sft_losses(self, shard: DemonstrationShard) -> list[tuple[float, int]]:
        """Measure demonstrations with the others."""
        return self._learner.sft_losses(shard)

    def spans(self, since: float) -> list[Span]:
        """Return what the rank did since a time, seconds since 1970."""
        return SPANS.since(since)

    def _groups(self, shard: RankShard) -> dict[int, Group]:
        with SPANS.span("fetch groups"):
            groups = fetch("groups to train", list(shard.handles.values()), timeout_s=self._fetch_timeout_s, error=LearnerLostError)
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

    @together
    def send(self) -> Any:
        """Send the weights; returns the manifest."""
        return self._sender.send()

    @together
    def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return log-probabilities at temperature 1."""
        return self._learner.logprobs(sequences, 1.0)

    @together
    def onload(self) -> None:
        """Bring what was moved out back to the GPU."""
        self._learner.onload()

    @together
    def offload(self, parameters: bool) -> None:
        """Move gradients and optimizer states to host memory; with `parameters`, the model's shards too."""
        self._learner.offload(parameters=parameters)

    @together
    def save(self, folder: str) -> Seals:
        """Write and seal this rank's part of a checkpoint."""
        path = _shared(folder)
        return _sealed(path, self._learner.save(path))

    def sizes(self) -> tuple[int, int]:
        """Return about how many bytes this rank writes of a checkpoint, and its share of an exported model."""
        return self._learner.sizes()

    @together
    def load(self, folder: str) -> None:
        """Continue from a checkpoint."""
        self._learner.load(_shared(folder))

    @together
    def export(self, folder: str) -> Seals:
        """Write and seal a Hugging Face folder, from rank 0."""
        path = _shared(folder)
        return _sealed(path, self._learner.export(path))


def _sealed(folder: Path, files: Sequence[Path]) -> Seals:
    try:
        return seal(folder, files)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error}; free space there, then run again to resume") from error


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
