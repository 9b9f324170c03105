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
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
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
        _weight_update_active: bool
        finish_weight_update: Any

    def watch_weights(self) -> None:
        """Start to listen. Call once, when the model is loaded."""
        model, transfer = self.model_runner.get_model(), self.weight_transfer_engine
        load, start, finish = model.load_weights, transfer.start_weight_update, transfer.finish_weight_update
        self._received: list[tuple[str, list[int], str, int, torch.Tensor]] = []
        self._unfilled: list[str] = []

        def seen(weights: Weights) -> Weights:
            for name, tensor in weights:
                dtype = str(tensor.dtype).removeprefix("torch.")
                self._received.append((name, list(tensor.shape), dtype, tensor.nbytes, digest(tensor)))
                yield name, tensor

        def load_weights(weights: Weights) -> set[str]:
            loaded: set[str] = load(seen(weights))
            return loaded

        def start_weight_update() -> None:
            self._received, self._unfilled = [], []
            start()

        def finish_weight_update() -> None:
            self._unfilled = unfilled(model)
            finish()

        model.load_weights = load_weights
        transfer.start_weight_update, transfer.finish_weight_update = start_weight_update, finish_weight_update

    def load_checkpoint(self, path: str) -> list[str]:
        """Load the weights of another checkpoint of this model, and return what it lacks. The engine must be paused.

        vLLM's own `reload_weights` leaves out the copy of a tied embedding that the CPU backend keeps for the head, and only logs
        what it did not find.
        """
        runner = self.model_runner
        model, config = runner.get_model(), runner.vllm_config.model_config
        config.model, config.revision = path, None
        weights = get_model_loader(runner.vllm_config.load_config).get_all_weights(config, model)
        initialize_layerwise_reload(model)
        model.load_weights(_with_head(weights, tied=config.hf_config.tie_word_embeddings))
        lacking = unfilled(model)
        finalize_layerwise_reload(model, config)
        self._received = []
        return lacking

    def abandon_update(self) -> None:
        """Close an update whose push broke before it was sent, or half way: vLLM begins no other before. A whole push must follow."""
        if self._weight_update_active:
            self.finish_weight_update()

    def take_load_report(self) -> dict[str, Any]:
        """Return what the last update brought, in plain values, and forget it: an update that never comes then reports nothing."""
        received = [(*spec, int(bits)) for *spec, bits in self._received]  # only here must a GPU have finished them
        report = {"rank": self.rank, "received": received, "unfilled": self._unfilled}
        self._received, self._unfilled = [], []
        return report


def _with_head(weights: Weights, *, tied: bool) -> Weights:
    """Yield the weights, and that of a tied embedding once more under the name of the head."""
    for name, tensor in weights:
        yield name, tensor
        if tied and name.endswith("embed_tokens.weight"):
            yield "lm_head.weight", tensor


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
