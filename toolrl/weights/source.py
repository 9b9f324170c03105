"""The learner's weights as vLLM's transfer engines want them: named full tensors, of a ZeRO-3 model or a plain one.

    every rank: for bucket in buckets ── gather (a collective) ── copy, on the sending rank ── release ── yield name, tensor

All ranks of the learner iterate, in the same order, because a gather is collective. Tensors that share storage are sent under each of
their names: an engine that is not sent its tied head keeps the old one. LoRA's matrices are merged on the way out: an engine holds the
whole model and knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource

from toolrl.weights.manifest import Manifest, TensorSpec
from toolrl.weights.merged import Weight, checkpoint_weights
from toolrl.weights.packing import buckets, digest, num_bytes


def full_shape(parameter: torch.nn.Parameter) -> tuple[int, ...]:
    """Shape of the whole parameter. ZeRO-3 leaves an empty tensor behind and keeps the true shape beside it."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


class Zero3Source(WeightSource):  # type: ignore[misc]
    """The weights of `module`, gathered bucket by bucket.

    Args:
        module: The model, under ZeRO-3 or not, with LoRA or without. Its names are those of its Hugging Face checkpoint.
        bucket_bytes: Most bytes gathered at a time; a larger tensor is gathered alone.
        dtype: Type on the wire, that of the engines; None sends each parameter as it is.
        sender: Whether this rank sends. The others gather and keep nothing.
    """

    def __init__(self, module: torch.nn.Module, bucket_bytes: int, dtype: torch.dtype | None = None, *, sender: bool = True) -> None:
        self._weights = checkpoint_weights(module)
        self._bucket_bytes = bucket_bytes
        self._dtype = dtype
        self._sender = sender
        self._digests: dict[str, torch.Tensor] = {}

    def metadata(self) -> list[ParamMeta]:
        """Name, wire type and full shape of every tensor, aliases included; gathers nothing."""
        return [ParamMeta(weight.name, self._dtype or weight.base.dtype, full_shape(weight.base)) for weight in self._weights]

    def manifest(self, metas: Sequence[ParamMeta]) -> Manifest:
        """Describe `metas` with the values of the last iteration; empty on ranks that do not send."""
        known = [(meta, self._digests.get(meta.name)) for meta in metas] if self._sender else []
        return Manifest(tuple(_spec(meta, bits) for meta, bits in known))

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield each name with its full tensor; on ranks that do not send, with an empty one."""
        for run in buckets(self._weights, [num_bytes(meta) for meta in self.metadata()], self._bucket_bytes):
            with torch.no_grad(), _gathered([parameter for weight in run for parameter in weight.parameters]):
                tensors = [(weight.name, self._copy(weight)) for weight in run]
            self._digests |= {name: digest(tensor) for name, tensor in tensors}
            yield from tensors

    def _copy(self, weight: Weight) -> torch.Tensor:
        """Copy before the gathered storage is released; the next optimizer step must not reach what is being sent either."""
        dtype = self._dtype or weight.base.dtype
        return weight.value(dtype) if self._sender else torch.empty(0, dtype=dtype)


def _spec(meta: ParamMeta, bits: torch.Tensor | None) -> TensorSpec:
    dtype = str(meta.dtype).removeprefix("torch.")
    return TensorSpec(meta.name, tuple(meta.shape), dtype, num_bytes(meta), 0 if bits is None else int(bits))


def _gathered(parameters: list[torch.nn.Parameter]) -> AbstractContextManager[None]:
    sharded = [parameter for parameter in dict.fromkeys(parameters) if hasattr(parameter, "ds_id")]
    if not sharded:
        return nullcontext()
    from deepspeed.runtime.zero import GatheredParameters  # imported where ZeRO-3 is in use: plain modules must not need DeepSpeed

    gathered: AbstractContextManager[None] = GatheredParameters(sharded)
    return gathered
