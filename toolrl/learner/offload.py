"""A rank's states between its device and host memory: room for the engine that shares the GPU while the learner does nothing.

    step, step ─> park(parameters=False) ─ push, probe ─> park(parameters=True) ─ the engine samples ─> unpark() ─> step …

What is moved: master weights, optimizer states, gradient buffers and the reference's shards; with `parameters` the model's own shards
too, frozen ones and hpZ's copies included. It is the storages that are emptied and filled again: every tensor, view and buffer that
DeepSpeed holds stays what it is, and training goes on bit for bit. DeepSpeed's own `offload_states` is not used: it wants its FusedAdam
(a CUDA build), knows no frozen parameters, and mixes up the shards of an optimizer with several groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


class Parking:
    """Moves the states of a rank's DeepSpeed engines to host memory and back.

    Args:
        training: The ZeRO-3 engine that trains.
        others: ZeRO-3 engines that only compute: the reference.
        device: Where they compute, `cpu` or `cuda`; what already lies elsewhere is left alone.
    """

    def __init__(self, training: Any, others: Sequence[Any], device: str) -> None:
        self._training = training
        self._others = others
        self._device = device
        self._parked: list[tuple[torch.UntypedStorage, Tensor]] = []

    @property
    def parked_bytes(self) -> int:
        """Bytes of the states that lie in host memory now."""
        return sum(host.numel() for _, host in self._parked)

    def park(self, *, parameters: bool) -> None:
        """Copy states to host memory and give their device memory back; what is parked already stays parked.

        Args:
            parameters: The shards of the model that trains too. Without them it can still compute, and be pushed.
        """
        tensors = list(_training_states(self._training))
        for engine in (*self._others, *([self._training] if parameters else [])):
            engine.empty_partition_cache()  # what stays gathered between passes; it is gathered again when it is next used
            tensors += _shards(engine)
        leaving = [(storage, self._empty_host(storage)) for storage in self._storages(tensors)]
        for storage, host in leaving:
            host.copy_(_bytes(storage), non_blocking=True)
        self._finish_copies()
        for storage, _ in leaving:
            storage.resize_(0)
        self._parked += leaving
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def unpark(self) -> None:
        """Bring the states back to where they were."""
        for storage, host in self._parked:
            storage.resize_(host.numel())
            _bytes(storage).copy_(host, non_blocking=True)
        self._finish_copies()
        self._parked = []

    def _storages(self, tensors: Sequence[Tensor]) -> list[torch.UntypedStorage]:
        """Return every storage on the device once, whatever number of tensors are views of it; those parked already are empty."""
        storages = (tensor.untyped_storage() for tensor in tensors if tensor.device.type == self._device)
        return list({storage.data_ptr(): storage for storage in storages if storage.nbytes()}.values())

    def _empty_host(self, storage: torch.UntypedStorage) -> Tensor:
        # torch keeps freed page-locked memory, so only the first time pays for locking it.
        return torch.empty(storage.nbytes(), dtype=torch.uint8, pin_memory=self._device == "cuda")

    def _finish_copies(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _shards(engine: Any) -> Iterator[Tensor]:
    """Yield this rank's part of each parameter."""
    for parameter in engine.module.parameters():
        yield parameter.ds_tensor
        if parameter.ds_secondary_tensor is not None:
            yield parameter.ds_secondary_tensor


def _training_states(engine: Any) -> Iterator[Tensor]:
    """Yield what an engine that trains keeps between two steps beside its parameters."""
    zero = engine.optimizer
    yield from zero.fp32_partitioned_groups_flat
    yield zero.grad_partitions_flat_buffer
    yield from (bucket.buffer for bucket in zero.ipg_buckets.values() if bucket.buffer is not None)
    for state in zero.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


def _bytes(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)  # type: ignore[call-overload]
