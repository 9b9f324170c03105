"""The engines' end of vLLM's weight transfer over Gloo: what `nccl` is on GPUs, on machines without one.

    learner rank 0   GlooTrainer.send_weights: start ─> update ┬─> broadcast bucket, bucket, … ─> finish
    engine worker    GlooEngine.receive_weights:               └─> receive bucket ─> load, …

Tensors travel packed, a bucket in one broadcast: one message for each tensor would cost more than a small model's bytes. The load runs
inside vLLM's layerwise reload, which unpacks and packs again what the CPU backend keeps in a layout of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import ParamMeta, WeightTransferEngine, WeightTransferInitInfo, WeightTransferUpdateInfo
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from toolrl.weights.group import TransferGroup, address_towards, join_store
from toolrl.weights.packing import empty_buffer, meta_buckets, views


@dataclass
class GlooInitInfo(WeightTransferInitInfo):  # type: ignore[misc]
    """What a worker needs to join a group."""

    host: str
    port: int
    rank_offset: int
    world_size: int
    bucket_bytes: int
    timeout_s: float


@dataclass
class GlooUpdateInfo(WeightTransferUpdateInfo):  # type: ignore[misc]
    """The tensors of a push, in order, in plain values."""

    names: list[str]
    dtypes: list[str]
    shapes: list[list[int]]

    @classmethod
    def of(cls, metas: list[ParamMeta]) -> GlooUpdateInfo:
        """Describe `metas`."""
        return cls(
            names=[meta.name for meta in metas],
            dtypes=[str(meta.dtype).removeprefix("torch.") for meta in metas],
            shapes=[list(meta.shape) for meta in metas],
        )

    def metas(self) -> list[ParamMeta]:
        """Return what `of` was given."""
        rows = zip(self.names, self.dtypes, self.shapes, strict=True)
        return [ParamMeta(name, getattr(torch, dtype), tuple(shape)) for name, dtype, shape in rows]


class GlooEngine(WeightTransferEngine[GlooInitInfo, GlooUpdateInfo]):  # type: ignore[misc]
    """Receives and loads the weights, in each worker of an engine."""

    init_info_cls = GlooInitInfo
    update_info_cls = GlooUpdateInfo

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._group: TransferGroup | None = None
        self._bucket_bytes = 0

    def init_transfer_engine(self, init_info: GlooInitInfo) -> None:
        """Join a new group, leaving the one before."""
        self.shutdown()
        config = self.parallel_config
        rank = init_info.rank_offset + config.data_parallel_index * config.world_size + config.rank
        store = join_store(init_info.host, init_info.port, init_info.world_size, init_info.timeout_s)
        address = address_towards(init_info.host)
        self._group = TransferGroup(store, rank=rank, world_size=init_info.world_size, address=address, timeout_s=init_info.timeout_s)
        self._bucket_bytes = init_info.bucket_bytes

    def start_weight_update(self) -> None:
        """Open every layer for loading."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: GlooUpdateInfo) -> None:
        """Receive and load every bucket. A failure leaves the group, which wakes the sender, and closes the layers."""
        if self._group is None:
            raise RuntimeError("weights were sent before the transfer group was formed")
        try:
            for metas in meta_buckets(update_info.metas(), self._bucket_bytes):
                buffer = empty_buffer(metas)
                self._group.broadcast(buffer)
                self.model.load_weights([(meta.name, tensor) for meta, tensor in views(buffer, metas)])
        except BaseException:
            self.shutdown()
            self.finish_weight_update()  # a layer left open would add the next push to this one
            raise

    def finish_weight_update(self) -> None:
        """Close the layers and rebuild what is derived from them."""
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """Leave the group."""
        if self._group is not None:
            self._group.close()
            self._group = None
