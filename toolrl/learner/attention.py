"""Causal attention over sequences that lie one behind the other, each looking at itself and at the prompt it may share only.

    query [1, heads, T, D], key and value [1, kv heads, T, D] ─ layout ─> kernel, segment by segment ─> [1, T, heads, D]

Dense layers see one row of T tokens without padding, and a prompt once for all completions behind it. Only attention knows where a
segment ends and what it continues: Transformers hands the `layout` of the forward pass through to the functions registered here, and makes
no mask for them (an implementation without a mask function gets none). A T×T mask never exists.

The two GPU kernels, `flash_attention_2` and `varlen`, have never run on a GPU; tests check what is handed to them.

Axes: S segments, T tokens of all, D width of a head.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from toolrl.errors import UserError

EXTRAS = ("sliding_window", "softcap", "s_aux", "position_bias")
"""What some models hand their attention beside queries, keys and values: none of it is computed here."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The segments of a packed row. A segment looks at its own past, and at all of its prefix, another segment before it, if it has one.

    A prompt is one segment, and the completions that share it are one each; a sequence that shares nothing is a segment without prefix.
    """

    lengths: tuple[int, ...]  # [S], each at least 1
    prefixes: tuple[int | None, ...]  # [S], index of the segment before it that each continues
    cu_queries: Tensor  # int32 [S + 1], on the device: the first token of each, and T
    cu_keys: Tensor  # int32 [S + 1], the same of the keys each looks at: those of its prefix, then its own
    max_queries: int
    max_keys: int
    keys: Tensor | None
    """int64: index into T of each of those keys; None where no segment has a prefix, and they are the row as it is."""

    def followed_by(self, length: int) -> Layout:
        """Return the layout with one more segment of `length` tokens, which shares nothing."""
        return make_layout((*self.lengths, length), str(self.cu_queries.device), (*self.prefixes, None))


def make_layout(lengths: Sequence[int], device: str, prefixes: Sequence[int | None] | None = None) -> Layout:
    """Return the layout of segments of `lengths` tokens, in that order; without `prefixes` none shares anything."""
    prefixes = tuple(prefixes or [None] * len(lengths))
    ends = np.cumsum([0, *lengths])
    spans = [np.arange(start, end) for start, end in pairwise(ends.tolist())]
    keys = [own if prefix is None else np.concatenate([spans[prefix], own]) for own, prefix in zip(spans, prefixes, strict=True)]
    key_ends = np.cumsum([0, *map(len, keys)])
    shared = any(prefix is not None for prefix in prefixes)
    return Layout(
        lengths=tuple(lengths),
        prefixes=prefixes,
        cu_queries=torch.from_numpy(ends.astype(np.int32)).to(device),
        cu_keys=torch.from_numpy(key_ends.astype(np.int32)).to(device),
        max_queries=max(lengths),
        max_keys=max(map(len, keys)),
        keys=torch.from_numpy(np.concatenate(keys)).to(device) if shared else None,
    )


def implementation(attention: str) -> str:
    """Return the name under which Transformers knows `model.attention`.

    Raises:
        UserError: The kernel is not installed.
    """
    if attention == "flash_attention_2" and not _has_flash_attn():
        raise UserError("model.attention: flash_attention_2 needs the package flash-attn; install it, or use auto, varlen or sdpa")
    if attention == "varlen" and not _has_varlen():
        raise UserError(f"model.attention: varlen needs a newer torch than {torch.__version__}; use auto, flash_attention_2 or sdpa")
    return NAMES[attention]


def unsupported(config: Any) -> str | None:
    """Return what the attention of a model does beside looking at all of its sequence up to each token; None where it does no more.

    What a configuration does not show is refused at the first forward pass.

    Args:
        config: By Hugging Face.
    """
    text = config.get_text_config()
    model = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if model is not None and not model._supports_attention_backend:
        return "attention that cannot be exchanged"
    layer_types = getattr(text, "layer_types", None)
    if other := sorted(set(layer_types or ()) - {"full_attention"}):
        return f"layers of {', '.join(other)}"
    if layer_types is None and getattr(text, "sliding_window", None) is not None:
        return f"a sliding window of {text.sliding_window} tokens"
    if getattr(text, "attn_logit_softcapping", None) is not None:
        return "soft-capped attention scores"
    return None


Attended = tuple[Tensor, None]
"""Output `[1, T, heads, D]`, and no attention weights, as Transformers wants them."""


def sdpa(module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: None, *, layout: Layout, scaling: float, **extras: Any) -> Attended:
    """PyTorch's own kernel, one segment at a time.

    Rows of like length were not faster in any number of buckets (`docs/performance.md`), and would compute padding.
    """
    _refuse(module, extras)
    options: dict[str, Any] = {"scale": scaling, "enable_gqa": query.shape[1] != key.shape[1]}
    queries, keys, values = (torch.split(x, list(layout.lengths), dim=2) for x in (query, key, value))
    masks = _behind_prefixes(layout, query)
    out = []
    for q, k, v, prefix in zip(queries, keys, values, layout.prefixes, strict=True):
        if prefix is None:
            out.append(F.scaled_dot_product_attention(q, k, v, is_causal=True, **options))
            continue
        k, v = torch.cat([keys[prefix], k], dim=2), torch.cat([values[prefix], v], dim=2)
        seen = masks[prefix][: q.shape[2], : k.shape[2]]
        out.append(F.scaled_dot_product_attention(q, k, v, attn_mask=seen, **options))
    return torch.cat([x.transpose(1, 2) for x in out], dim=1), None


def _behind_prefixes(layout: Layout, query: Tensor) -> dict[int, Tensor]:
    """Return for each prefix what is added to the scores `[own, prefix + own]` of the longest segment behind it; the others' are corners.

    0 for the prefix and the segment up to the token, else -inf. One for all siblings: the backward pass keeps it.
    """
    longest: dict[int, int] = {}
    for length, prefix in zip(layout.lengths, layout.prefixes, strict=True):
        if prefix is not None:
            longest[prefix] = max(length, longest.get(prefix, 0))
    return {
        prefix: query.new_full((own, layout.lengths[prefix] + own), float("-inf")).triu(layout.lengths[prefix] + 1)
        for prefix, own in longest.items()
    }


def flash(
    module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: None, *, layout: Layout, scaling: float, **extras: Any
) -> Attended:
    """FlashAttention-2 (arXiv 2307.08691) of the package flash-attn: all segments in one call.

    Its causal mask lines up the last query with the last key (since 2.1), which is what a segment behind a prefix needs.
    """
    from flash_attn import flash_attn_varlen_func

    _refuse(module, extras)
    q, k, v = _flat(query, key, value, layout)
    bounds = (layout.cu_queries, layout.cu_keys, layout.max_queries, layout.max_keys)
    return flash_attn_varlen_func(q, k, v, *bounds, softmax_scale=scaling, causal=True)[None], None


def varlen(
    module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: None, *, layout: Layout, scaling: float, **extras: Any
) -> Attended:
    """The same kernel, with the same alignment, as torch has it."""
    from torch.nn.attention.varlen import varlen_attn

    _refuse(module, extras)
    q, k, v = _flat(query, key, value, layout)
    # Its word for causal is a window that ends at the token. Some releases must be told of grouped queries, others take them as they are.
    options: dict[str, Any] = {"scale": scaling, "window_size": (-1, 0)}
    if "enable_gqa" in _varlen_parameters():
        options["enable_gqa"] = q.shape[1] != k.shape[1]
    out: Any = varlen_attn(q, k, v, layout.cu_queries, layout.cu_keys, layout.max_queries, layout.max_keys, **options)
    return out[None], None


def _flat(query: Tensor, key: Tensor, value: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries `[T, heads, D]`, and keys and values with those of a prefix once for each segment that looks at it."""
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    if layout.keys is None:
        return q, k, v
    return q, k.index_select(0, layout.keys), v.index_select(0, layout.keys)


def auto(module: Any, query: Tensor, *args: Any, **kwargs: Any) -> Attended:
    """The first of flash_attention_2, varlen and sdpa that this machine has for tensors of this kind."""
    kernel = sdpa
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        kernel = flash if _has_flash_attn() else varlen if _has_varlen() else sdpa
    return kernel(module, query, *args, **kwargs)


def _refuse(module: Any, extras: dict[str, Any]) -> None:
    """Refuse what a layer asks for beside causal attention, rather than compute something else."""
    asked = [name for name in EXTRAS if extras.get(name) is not None]
    if not getattr(module, "is_causal", True) or extras.get("is_causal") is False:
        asked.append("is_causal=False")
    if asked:
        raise UserError(f"model.path: {type(module).__name__} needs {', '.join(asked)}, which is not supported; choose another model")


@cache
def _has_flash_attn() -> bool:
    return find_spec("flash_attn") is not None


def _has_varlen() -> bool:
    return {"scale", "window_size"} <= _varlen_parameters()


@cache
def _varlen_parameters() -> frozenset[str]:
    """Names of what this torch's `varlen_attn` takes; they differ between releases, and the first ones lack a scale."""
    if find_spec("torch.nn.attention.varlen") is None:
        return frozenset()
    from torch.nn.attention.varlen import varlen_attn

    return frozenset(inspect.signature(varlen_attn).parameters)


NAMES = {"auto": "packed_auto", "flash_attention_2": "packed_fa2", "varlen": "packed_varlen", "sdpa": "packed_sdpa"}
"""By `model.attention`. The word flash in a name would make Transformers do more than look the function up."""
AttentionInterface.register(NAMES["auto"], auto)
AttentionInterface.register(NAMES["flash_attention_2"], flash)
AttentionInterface.register(NAMES["varlen"], varlen)
AttentionInterface.register(NAMES["sdpa"], sdpa)
