"""The learner's end of vLLM's weight transfer over Gloo; the engines' end is `gloo_engine`.

Rank 0 opens the group and calls the engines while it broadcasts, because they receive inside that call. The other ranks only take part in
gathering the weights. Whatever fails, rank 0 finishes the gathers, so the other ranks are not left waiting in one, and the error is that
of the party it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from vllm.distributed.weight_transfer.base import (
    ParamMeta,
    TrainerInitInfo,
    TrainerWeightTransferEngine,
    VLLMWeightSyncClient,
    WeightSource,
)

from toolrl.errors import WeightSyncError
from toolrl.weights.gloo_engine import GlooInitInfo, GlooUpdateInfo
from toolrl.weights.group import TransferGroup, open_store
from toolrl.weights.packing import empty_buffer, meta_buckets, views

CAUSE_GRACE_S = 5.0
"""Once a broadcast has broken, how long the engines have to say why."""


@dataclass
class GlooTrainerInfo(TrainerInitInfo):  # type: ignore[misc]
    """What the learner needs to form a group."""

    backend: ClassVar[str] = "gloo"

    host: str
    """An address of this machine that the engines can reach."""
    world_size: int
    """The workers of all engines, and the sender."""
    bucket_bytes: int
    timeout_s: float


class GlooTrainer(TrainerWeightTransferEngine[GlooTrainerInfo]):  # type: ignore[misc]
    """Sends the weights. Lives on every learner rank; only rank 0 has a group and calls the engines."""

    init_info_cls = GlooTrainerInfo

    def __init__(self, *, client: VLLMWeightSyncClient, source: WeightSource, info: GlooTrainerInfo) -> None:
        super().__init__(client=client, source=source, is_sender=info.is_sender)
        self._info = info
        self._group = self._open() if self.is_sender else None

    @classmethod
    def trainer_init(cls, init_info: GlooTrainerInfo, *, client: VLLMWeightSyncClient, source: WeightSource | None = None) -> GlooTrainer:
        """Form the group with the engines; returns once all are in it."""
        if source is None:
            raise ValueError("the Gloo transport sends whole models: give it a source")
        return cls(client=client, source=source, info=init_info)

    def send_weights(self) -> None:
        """Send every tensor of the source and let the engines load them. Called on every rank."""
        tensors = iter(self.source)
        if not self.is_sender:
            _exhaust(tensors)
            return
        metas = self.source.metadata()
        try:
            self.client.start_weight_update()
            self._broadcast(metas, tensors)
            self.client.finish_weight_update()
        finally:
            _exhaust(tensors)

    def shutdown(self) -> None:
        """Leave the group."""
        if self._group is not None:
            self._group.close()
            self._group = None

    def _open(self) -> TransferGroup:
        info = self._info
        store = open_store(info.host, info.world_size, info.timeout_s)
        theirs = GlooInitInfo(info.host, store.port, 1, info.world_size, info.bucket_bytes, info.timeout_s)
        answer = _start(self.client.init_weight_transfer_engine, asdict(theirs))
        with _blaming(answer):
            group = TransferGroup(store, rank=0, world_size=info.world_size, address=info.host, timeout_s=info.timeout_s)
        answer.result()
        return group

    def _broadcast(self, metas: list[ParamMeta], tensors: Iterator[tuple[str, torch.Tensor]]) -> None:
        group = self._group
        if group is None:
            raise RuntimeError("weights were sent before the transfer group was formed")
        answer = _start(self.client.update_weights, asdict(GlooUpdateInfo.of(metas)))
        try:
            for run in meta_buckets(metas, self._info.bucket_bytes):
                buffer = empty_buffer(run)
                for meta, room in views(buffer, run):
                    room.copy_(_next(tensors, meta))
                with _blaming(answer):
                    group.broadcast(buffer)
            answer.result()
        except BaseException:
            self.shutdown()  # wakes the engines still waiting for a bucket
            raise


def _start(call: Callable[[dict[str, Any]], None], info: dict[str, Any]) -> Future[None]:
    """Call the engines in a thread: they answer only once this side has taken its part. The client's deadline ends the thread."""
    threads = ThreadPoolExecutor(max_workers=1)
    future = threads.submit(call, info)
    threads.shutdown(wait=False)
    return future


def _next(tensors: Iterator[tuple[str, torch.Tensor]], meta: ParamMeta) -> torch.Tensor:
    """Take the tensor the engines were told to expect; anything else would be loaded as it."""
    name, tensor = next(tensors, ("nothing", torch.empty(0)))
    if (name, tensor.dtype, tuple(tensor.shape)) != (meta.name, meta.dtype, tuple(meta.shape)):
        raise WeightSyncError(f"the source declared {meta} and yielded {name} {tensor.dtype} {list(tensor.shape)}")
    return tensor


@contextmanager
def _blaming(answer: Future[None]) -> Iterator[None]:
    """Where the group breaks, raise what went wrong in the engines, if they say so: what breaks here is often only its echo."""
    try:
        yield
    except RuntimeError as error:
        wait_for([answer], CAUSE_GRACE_S)
        if answer.done() and (cause := answer.exception()):
            raise cause from error
        raise WeightSyncError(f"the transfer group broke: {error}") from error


def _exhaust(tensors: Iterator[tuple[str, torch.Tensor]]) -> None:
    for _ in tensors:
        pass
