"""Sequence parallelism: P consecutive ranks share every packed row (Ulysses, arXiv 2309.14509, in DeepSpeed's form for Transformers).

    T tokens ─ T/P on each rank ─> dense layers ─ all-to-all ─> T tokens, 1/P of the heads ─> attention ─ all-to-all ─> T/P tokens
                                                                     ─> log-probabilities of the rank's own part ─ summed ─> [N] on all P

Only `Policy` knows of it: it takes a whole row and returns the log-probabilities of all its trained tokens on each of the P ranks, which
hold the same shard of a batch. Each then computes the same loss of all N tokens, and sends back the gradient of its own part only, so that
a token's gradient arrives once. What is counted in a sum over all ranks arrives P times.

Attention sees the whole row and its layout, so where a sequence was cut does not matter.

Axes: T tokens of a row, N trained tokens of it, P ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from toolrl.errors import UserError
from toolrl.learner.collate import Tokens

Compute = Callable[[Tokens, float], tuple[Tensor, Tensor]]


def check_heads(config: Any, size: int) -> None:
    """Refuse a model whose attention heads cannot be shared out.

    Args:
        config: Of Hugging Face.
        size: Ranks that share a sequence.

    Raises:
        UserError: `size` does not divide the heads, or neither divides nor is a multiple of the key-value heads.
    """
    if size == 1:
        return
    heads, kv_heads = _heads(config)
    if heads % size or (kv_heads % size and size % kv_heads):
        fit = [str(n) for n in range(1, heads + 1) if heads % n == 0 and (kv_heads % n == 0 or n % kv_heads == 0)]
        raise UserError(
            f"learner.sequence_parallel: got {size} for a model of {heads} attention heads and {kv_heads} key-value heads; "
            f"choose one of {', '.join(fit)}"
        )


def _heads(config: Any) -> tuple[int, int]:
    """Return the numbers of attention heads and of key-value heads; a model that does not name the latter has one for each."""
    return config.num_attention_heads, getattr(config, "num_key_value_heads", None) or config.num_attention_heads


class SequenceParallel:
    """This rank's place among those that share its sequences. Made by all ranks of the learner at once, after they have joined.

    Args:
        size: Ranks that share a sequence (P); divides the learner's ranks.
        timeout_s: Longest wait for the others in an exchange.
    """

    def __init__(self, size: int, timeout_s: float) -> None:
        self._size = size
        self._index = dist.get_rank() % size
        self._group = _own_group(size, timedelta(seconds=timeout_s))

    def attention(self, name: str, config: Any) -> str:
        """Register attention that sees whole rows, and return the name under which Transformers knows it.

        Args:
            name: Of the attention within a rank, already registered.
            config: Of the model, by Hugging Face.
        """
        # DeepSpeed picks its device and finds its group when it is imported.
        import deepspeed.comm
        from deepspeed.runtime.sequence_parallel.ulysses_sp import UlyssesSPAttentionHF

        deepspeed.comm.init_distributed(verbose=False)
        heads, kv_heads = _heads(config)
        whole_rows = UlyssesSPAttentionHF(
            ALL_ATTENTION_FUNCTIONS[name],
            batch_size=1,
            attn_head_count=heads,
            attn_head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
            kv_head_count=kv_heads,
            num_hidden_layers=config.num_hidden_layers,
            process_group=self._group,
            seq_length_is_variable=True,
        )
        # A name of its own: DeepSpeed's `register_with_transformers` would take the place of SDPA for the whole process.
        AttentionInterface.register(f"ulysses_{name}", whole_rows)
        return f"ulysses_{name}"

    def run(self, compute: Compute, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy of every trained token, float32 `[N]`, the same on each of the P ranks. Collective.

        Args:
            compute: The model on this rank's part of the row.
            tokens: The whole row, the same on each of the P ranks.
            temperature: Passed on to `compute`.
        """
        part, start = share(tokens, self._index, self._size)
        logp, entropy = compute(part, temperature)
        whole_logp, whole_entropy = _Gather.apply(logp, entropy, start, tokens.num_trained, self._group)  # type: ignore[no-untyped-call]
        return whole_logp, whole_entropy


def share(tokens: Tokens, index: int, size: int) -> tuple[Tokens, int]:
    """Return part `index` of `size` equal parts of a row, and which of the row's trained tokens is the part's first.

    The row is filled up to a multiple of `size` by a sequence of its own. The part's layout is that of the whole row, which is what
    attention sees. Trained tokens may be spread unevenly: a part may have none.
    """
    missing = -tokens.num_computed % size
    device = tokens.input_ids.device
    width = (tokens.num_computed + missing) // size
    own = slice(index * width, (index + 1) * width)
    bounds = torch.tensor([own.start, own.stop], device=device)
    start, stop = torch.searchsorted(tokens.positions, bounds).tolist()  # positions ascend: rows are in order, and so are tokens in them
    part = replace(
        tokens,
        input_ids=torch.cat([tokens.input_ids, tokens.input_ids.new_zeros(1, missing)], dim=1)[:, own],
        position_ids=torch.cat([tokens.position_ids, torch.arange(missing, device=device)[None]], dim=1)[:, own],
        layout=tokens.layout.followed_by(missing) if missing else tokens.layout,
        positions=tokens.positions[start:stop] - own.start,
        labels=tokens.labels[start:stop],
    )
    return part, start


class _Gather(torch.autograd.Function):
    """Values `[n]` of each part -> those of the row `[N]`, on all P ranks. Back goes the part of the gradient, which all have whole."""

    @staticmethod
    def forward(ctx: Any, logp: Tensor, entropy: Tensor, start: int, total: int, group: Any) -> tuple[Tensor, Tensor]:
        ctx.own = slice(start, start + len(logp))
        ctx.set_materialize_grads(False)  # an entropy that no loss uses costs the head nothing
        whole = logp.new_zeros(2, total)
        whole[0, ctx.own], whole[1, ctx.own] = logp, entropy
        dist.all_reduce(whole, group=group)  # parts do not overlap: adding zeros changes no digit, and they may differ in size
        return whole[0], whole[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return *(None if grad is None else grad[ctx.own] for grad in grads), None, None, None


def _own_group(size: int, timeout: timedelta) -> Any:
    """Make the groups of `size` consecutive ranks, which every rank must, and return the own one."""
    world, rank = dist.get_world_size(), dist.get_rank()
    groups = [dist.new_group(list(range(first, first + size)), timeout=timeout) for first in range(0, world, size)]
    return groups[rank // size]
