"""Hidden states and labels -> log-probabilities and entropies, a slice of the vocabulary at a time: the full logits never exist.

    hidden [N, H] ─ every slice of the head [C, H] ─> logits [N, C] ─> running maximum, sum and moment [N] ─> log-probability, entropy [N]

The backward pass makes each slice of the logits again. Slices are of the vocabulary, not of the tokens: each row of the head is read once
in a pass, and each row of its gradient written once, in the type of the head, where slices of tokens would add it up in float32 beside it.

One module holds the head, so that ZeRO-3 gathers it once in the forward and once in the backward pass, however many slices there are.
With tied embeddings its weight is the embedding's own `Parameter`. Being a parameter of both modules, each gathers it for itself, as a
registered external parameter would be; but it is also released again, which DeepSpeed 0.19 does not do with external ones.

Axes: N trained tokens, C entries of a slice of the vocabulary, H width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SLICE_ELEMENTS = {"cpu": 2**21, "cuda": 2**25}
"""Logits made at a time: 8 MiB in float32, near what a CPU's cache holds, and 128 MiB, which keep a GPU busy. At most two such tensors
exist at once, and one half of that again in bfloat16."""
ALIGNMENT = 64
"""A slice is a multiple of so many entries, as matrix kernels like it, and at least so many."""


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
        logp, entropy = _SlicedLogprobs.apply(hidden, self.weight, labels, temperature)  # type: ignore[no-untyped-call]
        return logp, entropy


class _SlicedLogprobs(torch.autograd.Function):
    """The soft-max over slices: a running maximum m, Σ exp(x - m) and Σ (x - m) exp(x - m) (Milakov & Gimelshein, arXiv 1805.02867)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        slices = _slices(len(labels), weight)
        running = _Running(len(labels), hidden.device)
        for start, stop in slices:
            logits = _logits(hidden, weight[start:stop], temperature)
            running.add(logits, labels - start)
        logp, entropy = running.result()
        # With a single slice its logits, by now less their maximum, are kept: half a pass is saved for what memory was there anyway.
        kept = logits.sub_(running.log_total[:, None]) if len(slices) == 1 else None
        ctx.save_for_backward(hidden, weight, labels, running.log_normaliser, entropy, kept)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logp, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Chain `d logp / d logits = onehot - p` and `d entropy / d logits = -p (log p + entropy)`."""
        hidden, weight, labels, log_normaliser, entropy, kept = ctx.saved_tensors
        logp_grad, entropy_grad = (None if grad is None else grad / ctx.temperature for grad in grads)
        logp_grad = torch.zeros_like(entropy) if logp_grad is None else logp_grad
        hidden_grad = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device) if ctx.needs_input_grad[0] else None
        weight_grad = torch.empty_like(weight) if ctx.needs_input_grad[1] else None  # a frozen head, as under LoRA, has none
        for start, stop in _slices(len(labels), weight):
            part = weight[start:stop]
            log_p = _logits(hidden, part, ctx.temperature).sub_(log_normaliser[:, None]) if kept is None else kept
            grad = _logits_grad(log_p, labels - start, logp_grad, entropy_grad, entropy, reuse=kept is None).to(weight.dtype)
            del log_p
            if hidden_grad is not None:
                _add_product(hidden_grad, grad, part)
            if weight_grad is not None:
                torch.mm(grad.T, hidden, out=weight_grad[start:stop])
        return None if hidden_grad is None else hidden_grad.to(hidden.dtype), weight_grad, None, None


class _Running:
    """What is known of each token's distribution after some slices of the vocabulary."""

    def __init__(self, num_tokens: int, device: torch.device) -> None:
        self._top = torch.full((num_tokens,), torch.finfo(torch.float32).min, device=device)  # finite: no inf times 0 below
        self._total, self._moment, self._label = torch.zeros(3, num_tokens, device=device).unbind()

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Take in a slice `[N, C]`, in place: less the largest logit so far. `labels` count from its start and may lie outside."""
        top = torch.maximum(self._top, logits.amax(1))
        logits.sub_(top[:, None])
        weights = logits.exp()
        index, inside = _within(labels, logits)
        shift = self._top - top
        self._moment = (self._moment + shift * self._total) * shift.exp() + torch.linalg.vecdot(weights, logits)
        self._total = self._total * shift.exp() + weights.sum(1)
        self._label = torch.where(inside, logits.gather(1, index)[:, 0], self._label + shift)
        self._top = top

    @property
    def log_total(self) -> Tensor:
        """Log of the sum of the exponentials, the largest logit taken off."""
        return self._total.log()

    @property
    def log_normaliser(self) -> Tensor:
        """What is subtracted from a logit to make it a log-probability."""
        return self._top + self.log_total

    def result(self) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy, once every slice was added."""
        return self._label - self.log_total, self.log_total - self._moment / self._total


def _logits(hidden: Tensor, part: Tensor, temperature: float) -> Tensor:
    """Return the logits of a slice of the head over the temperature, float32 `[N, C]`."""
    logits = (hidden @ part.T).float()
    return logits if temperature == 1 else logits.div_(temperature)


def _logits_grad(log_p: Tensor, labels: Tensor, logp_grad: Tensor, entropy_grad: Tensor | None, entropy: Tensor, *, reuse: bool) -> Tensor:
    """Return the gradient of a slice's logits, in the memory of `log_p` where that may be overwritten."""
    if entropy_grad is None:
        grad = (log_p.exp_() if reuse else log_p.exp()).mul_(-logp_grad[:, None])
    else:
        slope = torch.addcmul(logp_grad[:, None], log_p + entropy[:, None], entropy_grad[:, None])
        grad = (log_p.exp_() if reuse else log_p.exp()).mul_(slope.neg_())
    index, inside = _within(labels, grad)
    return grad.scatter_add_(1, index, torch.where(inside, logp_grad, 0.0)[:, None])


def _within(labels: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """Return a valid column `[N, 1]` for every label, and which labels `[N]` lie in the slice. Without a branch: a GPU need not wait."""
    inside = (labels >= 0) & (labels < part.shape[1])
    return torch.where(inside, labels, 0)[:, None], inside


def _add_product(total: Tensor, grad: Tensor, part: Tensor) -> None:
    """Add `grad @ part` to the float32 `total`."""
    if part.dtype == total.dtype:
        total.addmm_(grad, part)
    else:
        total.add_(grad @ part)


def _slices(num_tokens: int, weight: Tensor) -> list[tuple[int, int]]:
    """Cut the vocabulary so that a slice has about `SLICE_ELEMENTS` logits."""
    size = SLICE_ELEMENTS[weight.device.type] // max(num_tokens, 1)
    size = max(size // ALIGNMENT, 1) * ALIGNMENT
    return [(start, min(start + size, len(weight))) for start in range(0, len(weight), size)]
