"""How much arithmetic a batch is, and how much of what its accelerators could do meanwhile: model FLOP/s utilisation (MFU).

A forward pass is `2 W T + 2 H N + 4 L A P` FLOP, for T tokens through W weights, N trained tokens through the head's H weights, and P pairs
of a query and a key it sees, in L layers of A channels (heads times their size): PaLM's count (arXiv 2204.02311, appendix B), except that
the head is only computed where a token is trained, and a query sees half of its sequence and not all. A backward pass is two of them, one
where weights are frozen. Only what the mathematics needs is counted: no recomputation of activations, no padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from toolrl.monitor.peaks import peak_of


@dataclass(frozen=True, slots=True)
class Shape:
    """A model, as far as arithmetic goes."""

    weights: int
    """Of its layers: without the embeddings, which are looked up, and without the head."""
    head: int
    layers: int
    attention: int
    """Heads times their size."""
    trained_share: float = 1.0
    """Of its weights."""

    @classmethod
    def of(cls, causal: Any) -> Shape:
        """Return that of a Hugging Face model, sharded or not."""
        config = causal.config.get_text_config()
        looked_up, head = causal.get_input_embeddings().weight, causal.get_output_embeddings().weight
        numels = {id(each): _numel(each) for each in causal.parameters()}
        outer = {id(looked_up), id(head)}
        trained = sum(_numel(each) for each in causal.parameters() if each.requires_grad)
        heads = config.num_attention_heads
        return cls(
            weights=sum(numel for key, numel in numels.items() if key not in outer),
            head=_numel(head),
            layers=config.num_hidden_layers,
            attention=heads * (getattr(config, "head_dim", None) or config.hidden_size // heads),
            trained_share=trained / sum(numels.values()),
        )

    def forward(self, tokens: float, trained: float, pairs: float) -> float:
        """Return the FLOP of a forward pass."""
        return 2.0 * self.weights * tokens + 2.0 * self.head * trained + 4.0 * self.layers * self.attention * pairs

    def batch(self, total: Mapping[str, float], forwards: int = 0) -> float:
        """Return the FLOP of training a batch.

        Args:
            total: `real`, `tokens` and `pairs` of all its micro-batches.
            forwards: Passes over all of it without a backward pass.
        """
        return (2.0 + self.trained_share + forwards) * self.forward(total["real"], total["tokens"], total["pairs"])


def peak(device: str, dtype: str) -> float | None:
    """Return what an accelerator can do, FLOP/s; None where that is not known, as of a CPU, or in float32, where it depends on TF32."""
    if device != "cuda" or dtype != "bfloat16":
        return None
    return peak_of(torch.cuda.get_device_name())


def utilisation(flops: float, seconds: float, accelerators: int, of_one: float | None) -> dict[str, float]:
    """Return the metrics of a batch of `flops` that took `seconds` on so many accelerators."""
    rate = flops / seconds / accelerators
    return {"learner/flops_per_s": rate, **({} if of_one is None else {"learner/mfu": rate / of_one})}


def _numel(parameter: Any) -> int:
    return int(getattr(parameter, "ds_numel", parameter.numel()))
