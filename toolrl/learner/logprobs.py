"""Hidden states and labels -> log-probabilities and entropies, without the logits of the whole micro-batch.

    hidden [N, H] ─ chunk ─> logits [C, V] ─> log-probability, entropy [C]        (and again in the backward pass)

One module holds the head, so that ZeRO-3 gathers it once in the forward and once in the backward pass, however many chunks there are.
With tied embeddings its weight is the embedding's own `Parameter`, and both modules gather it for themselves.

Axes: N trained tokens, C tokens of a chunk, H width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CHUNK_ELEMENTS = {"cpu": 2**20, "cuda": 2**25}
"""Logits made at a time: what stays in a CPU's cache, and what keeps a GPU busy (128 MiB in float32)."""


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
    """Keeps the log-normaliser of each token and makes the logits again, chunk by chunk, in the backward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logp, log_norm, entropy = torch.empty(3, len(labels), dtype=torch.float32, device=hidden.device).unbind()
        for part in _chunks(len(labels), weight):
            logits = _logits(hidden[part], weight, temperature)
            highest = logits.amax(dim=1)
            odds = torch.exp(logits - highest[:, None])
            total = odds.sum(dim=1)
            log_norm[part] = highest + total.log()
            logp[part] = logits.gather(1, labels[part, None])[:, 0] - log_norm[part]
            entropy[part] = log_norm[part] - torch.linalg.vecdot(odds, logits) / total
        ctx.save_for_backward(hidden, weight, labels, log_norm, entropy)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logp, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Chain `d logp / d logits = onehot - p` and `d entropy / d logits = -p (log p + entropy)`."""
        hidden, weight, labels, log_norm, entropy = ctx.saved_tensors
        logp_grad, entropy_grad = grads[0] if grads[0] is not None else torch.zeros_like(log_norm), grads[1]
        hidden_grad = torch.zeros_like(hidden)
        weight_grad = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        for part in _chunks(len(labels), weight):
            log_all = _logits(hidden[part], weight, ctx.temperature).sub_(log_norm[part, None])
            logits_grad = torch.exp(log_all)
            if entropy_grad is None:
                logits_grad.mul_(-logp_grad[part, None])
            else:
                log_all.add_(entropy[part, None]).mul_(entropy_grad[part, None])
                logits_grad.mul_(log_all.add_(logp_grad[part, None]).neg_())
            logits_grad.scatter_add_(1, labels[part, None], logp_grad[part, None])
            logits_grad = logits_grad.div_(ctx.temperature).to(weight.dtype)
            torch.mm(logits_grad, weight, out=hidden_grad[part])
            weight_grad += logits_grad.T @ hidden[part]
        return hidden_grad, weight_grad.to(weight.dtype), None, None


def _logits(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    logits = (hidden @ weight.T).float()
    return logits if temperature == 1 else logits.div_(temperature)


def _chunks(num_tokens: int, weight: Tensor) -> list[slice]:
    size = max(1, CHUNK_ELEMENTS[weight.device.type] // len(weight))
    return [slice(start, min(start + size, num_tokens)) for start in range(0, num_tokens, size)]
