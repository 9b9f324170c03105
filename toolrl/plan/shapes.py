"""The shape of a model, from the config.json of its Hugging Face folder, and the parameters it has. No weights, no torch.

    model folder, cache of the hub, name of a shipped shape ─> config.json ─> Shape ─> parameters of a layer, of a whole, of LoRA

Shipped are the sizes of Qwen2.5 (qwen25.json, from the config.json of each model on the hub).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import prod
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from toolrl.errors import UserError
from toolrl.monitor.jsonfile import read_object

_FAMILIES = ("qwen2", "qwen3", "llama", "mistral")
"""Values of `model_type` whose layers are counted here."""
_NAMED = re.compile(r"(?:^|/)(Qwen2\.5)(?:-Coder|-Math)?(-[\d.]+B)(?:-Instruct)?$")
"""The variants have the shape of the base model."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder with grouped-query attention and a gated feed-forward part."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False

    @property
    def attention(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Width of all keys of a token in a layer; its values are as wide."""
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Outputs and inputs of each linear part of a layer, by its Hugging Face name."""
        return {
            "q_proj": (self.attention, self.hidden),
            "k_proj": (self.key_value, self.hidden),
            "v_proj": (self.key_value, self.hidden),
            "o_proj": (self.hidden, self.attention),
            "gate_proj": (self.intermediate, self.hidden),
            "up_proj": (self.intermediate, self.hidden),
            "down_proj": (self.hidden, self.intermediate),
        }

    @property
    def _vectors(self) -> tuple[int, ...]:
        """Elements of each norm and bias of a layer."""
        biases = [self.attention, self.key_value, self.key_value] * self.qkv_bias + [self.hidden] * self.out_bias
        biases += [self.intermediate, self.intermediate, self.hidden] * self.mlp_bias
        return (self.hidden, self.hidden, *biases, *([self.head_dim] * 2 * self.qk_norm))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Elements of every parameter, and how many there are of that size."""
        outer = ((self.embedding, 1 if self.tied else 2), (self.hidden, 1))
        return (*((prod(shape), self.layers) for shape in self.linears.values()), *((n, self.layers) for n in self._vectors), *outer)

    @property
    def layer(self) -> int:
        """Parameters of a layer."""
        return sum(map(prod, self.linears.values())) + sum(self._vectors)

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, and of a head that is not tied to it."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Parameters in all; a tied head is counted once."""
        return sum(size * count for size, count in self.sizes)

    @property
    def body(self) -> int:
        """Parameters that multiply every token: all but embedding and head."""
        return self.layers * self.layer + self.hidden

    @property
    def kv_elements(self) -> int:
        """Elements of the keys and values of one token in all layers."""
        return 2 * self.layers * self.key_value

    def lora(self, rank: int, targets: str) -> tuple[tuple[int, int], ...]:
        """Return elements and number of LoRA's matrices of `rank` beside the targets, as `learner.lora_targets` names them."""
        named = {name.strip().rpartition(".")[2] for name in targets.split(",")}
        beside = [shape for name, shape in self.linears.items() if targets == "all-linear" or name in named]
        return tuple((rank * width, self.layers) for shape in beside for width in shape)


def shape_of(path: str) -> Shape:
    """Return the shape of a model: of a folder, of a model in the cache of the hub, or of a shipped name. Asks no network.

    Raises:
        UserError: None of them, or a model that the planner cannot count.
    """
    folder = Path(path)
    if folder.is_dir():
        return read_shape(read_object(folder / "config.json", remedy="name the folder of a model", error=UserError), path)
    if (name := shipped_name(path)) is not None:
        return read_shape(_shipped()[name], name)
    cached = try_to_load_from_cache(path, "config.json") if path.count("/") == 1 and not folder.is_absolute() else None
    if isinstance(cached, str):
        return read_shape(read_object(Path(cached), remedy="download the model anew", error=UserError), path)
    raise UserError(
        f"{path}: no folder of a model, not in the cache of the hub, and no shipped shape; name a folder with a config.json, or one of "
        f"{', '.join(_shipped())}"
    )


def shipped_name(path: str) -> str | None:
    """Return the shipped shape that a model of the hub has, by its name; None where there is none.

    >>> shipped_name("Qwen/Qwen2.5-Coder-7B-Instruct"), shipped_name("Qwen/Qwen2.5-VL-7B-Instruct")
    ('Qwen2.5-7B', None)
    """
    found = _NAMED.search(path)
    name = found[1] + found[2] if found else ""
    return name if name in _shipped() else None


def read_shape(config: Mapping[str, Any], name: str) -> Shape:
    """Return the shape that a config.json describes.

    Raises:
        UserError: A field is missing or senseless, or the architecture is not counted here.
    """
    family = config.get("model_type")
    if family not in _FAMILIES:
        raise UserError(f"{name}: model_type {family!r} is not one the planner can count; it knows {', '.join(_FAMILIES)}")
    hidden, heads = _number(config, "hidden_size", name), _number(config, "num_attention_heads", name)
    bias = bool(config.get("attention_bias", False))
    return Shape(
        name=Path(name).name,
        hidden=hidden,
        intermediate=_number(config, "intermediate_size", name),
        layers=_number(config, "num_hidden_layers", name),
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads", name, default=heads),
        head_dim=_number(config, "head_dim", name, default=hidden // heads),
        vocabulary=_number(config, "vocab_size", name),
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=family == "qwen2" or bias,
        out_bias=family != "qwen2" and bias,
        mlp_bias=family == "llama" and bool(config.get("mlp_bias", False)),
        qk_norm=family == "qwen3",
    )


def _number(config: Mapping[str, Any], key: str, name: str, default: int = 0) -> int:
    found = config.get(key)
    found = default if found is None else found
    if type(found) is not int or found < 1:
        raise UserError(f"{name}: {key} of its config.json is {config.get(key)!r}; expected a whole number above 0")
    return found


@cache
def _shipped() -> dict[str, Any]:
    return dict(json.loads((resources.files("toolrl.plan") / "qwen25.json").read_text()))


def shipped_shapes() -> tuple[str, ...]:
    """Return the names of the shipped shapes, the smallest first."""
    return tuple(_shipped())
