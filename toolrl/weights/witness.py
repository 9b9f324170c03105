"""Sees, inside every engine worker, what a push really loaded; the same for every transport.

vLLM mixes this class into its worker (`worker_extension_cls`), so that its methods can be called on all workers at once. It listens at
the model's own `load_weights`, where whatever a transport received must pass, and counts at the end of the update which layers are still
short of elements: a fused layer (q, k and v in one) that misses a part would otherwise be finished with whatever lies in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from vllm.model_executor.layers.attention import is_deferred_attention_layer
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info
from vllm.model_executor.model_loader.reload.utils import get_tensor_load_numel

from toolrl.weights.packing import digest

Weights = Iterable[tuple[str, torch.Tensor]]


class Witness:
    """Extension of vLLM's worker. Its names must not be names of the worker's own."""

    if TYPE_CHECKING:  # what the worker it is mixed into has
        rank: int
        model_runner: Any
        weight_transfer_engine: Any

    def watch_weights(self) -> None:
        """Start to listen. Call once, when the model is loaded."""
        model, transfer = self.model_runner.get_model(), self.weight_transfer_engine
        load, start, finish = model.load_weights, transfer.start_weight_update, transfer.finish_weight_update
        self._received: list[tuple[str, list[int], str, int, torch.Tensor]] = []
        self._unfilled: list[str] = []

        def load_weights(weights: Weights) -> set[str]:
            given = list(weights)
            self._received += [(name, list(t.shape), str(t.dtype).removeprefix("torch."), t.nbytes, digest(t)) for name, t in given]
            loaded: set[str] = load(given)
            return loaded

        def start_weight_update() -> None:
            self._received, self._unfilled = [], []
            start()

        def finish_weight_update() -> None:
            self._unfilled = unfilled(model)
            finish()

        model.load_weights = load_weights
        transfer.start_weight_update, transfer.finish_weight_update = start_weight_update, finish_weight_update

    def take_load_report(self) -> dict[str, Any]:
        """Return what the last update brought, in plain values, and forget it: an update that never comes then reports nothing."""
        received = [(*spec, int(bits)) for *spec, bits in self._received]  # only here must a GPU have finished them
        report = {"rank": self.rank, "received": received, "unfilled": self._unfilled}
        self._received, self._unfilled = [], []
        return report


def unfilled(model: torch.nn.Module) -> list[str]:
    """Return the layers that have not had all their elements loaded, each with how many. Ask before vLLM finalises the update."""
    found = []
    for name, layer in model.named_modules():
        info = get_layerwise_info(layer)
        if not info.can_load() or is_deferred_attention_layer(layer):
            continue  # complete already; or without weights of its own
        total = sum(get_tensor_load_numel(parameter) for parameter in layer.parameters(recurse=False)) - _padding(layer)
        if info.load_numel < total:
            found.append(f"{name}: {info.load_numel} of {total} elements loaded")
    return found


def _padding(layer: torch.nn.Module) -> int:
    """Elements of the rows by which vLLM lengthens a vocabulary, which nothing is ever loaded into."""
    if not isinstance(layer, VocabParallelEmbedding):
        return 0
    shard = layer.shard_indices
    padding = shard.num_elements_padded - (shard.num_org_elements + shard.num_added_elements)
    return int(padding * layer.embedding_dim)
