"""Hidden states and labels -> log-probabilities and entropies, at most a chunk of the logits at a time.

    hidden [N, H] ─ chunk ─> logits [C, V] ─> log-probability, entropy [C]        (and again in the backward pass)

One module holds the head, so that ZeRO-3 gathers it once in the forward and once in the backward pass, however many chunks there are.
With tied embeddings its weight is the embedding's own `Parameter`, and both modules gather it for themselves.

Axes: N trained tokens, C tokens of a chunk, H width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CHUNK_ELEMENTS = {"cpu": 2**21, "cuda": 2**25}
"""Logits made at a time: 8 MiB in float32, near what a CPU's cache holds, and 128 MiB, which keep a GPU busy."""


class TokenLogprobs(nn.Module):
    """The output embedding as a map from hidden states and labels to log-probabilities.

    Args:
        weight: The head's parameter, `[V, H]`; shared, not copied.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, hidden: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Return the log-probability of each label and the entropy of its distribution, both float32 `[N]`, in nats.

        Args:
            hidden: `[N, H]`.
            labels: int64 `[N]`.
            temperature: Logits are divided by it, in float32, as the engine does when it samples.
        """
        logp, entropy = _ChunkedLogprobs.apply(hidden, self.weight, labels, temperature)  # type: ignore[no-untyped-call]
        return logp, entropy


class _ChunkedLogprobs(torch.autograd.Function):
    """Makes the distribution of each chunk again in the backward pass. Only a micro-batch of a single chunk keeps it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logp, entropy = torch.empty(2, len(labels), dtype=torch.float32, device=hidden.device).unbind()
        chunks = _chunks(len(labels), weight)
        for part in chunks:
            log_all = _distribution(hidden[part], weight, temperature)
            logp[part] = log_all.gather(1, labels[part, None])[:, 0]
            entropy[part] = -torch.linalg.vecdot(log_all.exp(), log_all)
        ctx.save_for_backward(hidden, weight, labels, entropy, log_all if len(chunks) == 1 else None)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logp, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Chain `d logp / d logits = onehot - p` and `d entropy / d logits = -p (log p + entropy)`."""
        hidden, weight, labels, entropy, kept = ctx.saved_tensors
        logp_grad, entropy_grad = grads[0] if grads[0] is not None else torch.zeros_like(entropy), grads[1]
        hidden_grad = torch.zeros_like(hidden)
        weight_grad = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        for part in _chunks(len(labels), weight):
            log_all = _distribution(hidden[part], weight, ctx.temperature) if kept is None else kept
            logits_grad = torch.exp(log_all)
            if entropy_grad is None:
                logits_grad.mul_(-logp_grad[part, None])
            else:
                logits_grad.mul_(-logp_grad[part, None] - entropy_grad[part, None] * (log_all + entropy[part, None]))
            logits_grad.scatter_add_(1, labels[part, None], logp_grad[part, None])
            if ctx.temperature != 1:
                logits_grad.div_(ctx.temperature)
            logits_grad = logits_grad.to(weight.dtype)
            torch.mm(logits_grad, weight, out=hidden_grad[part])
            weight_grad += logits_grad.T @ hidden[part]
        return hidden_grad, weight_grad.to(weight.dtype), None, None


def _distribution(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """Return the log-probability of every entry of the vocabulary, float32 `[C, V]`."""
    logits = (hidden @ weight.T).float()
    return torch.log_softmax(logits if temperature == 1 else logits.div_(temperature), dim=1)


def _chunks(num_tokens: int, weight: Tensor) -> list[slice]:
    size = max(1, CHUNK_ELEMENTS[weight.device.type] // len(weight))
    return [slice(start, min(start + size, num_tokens)) for start in range(0, num_tokens, size)]
