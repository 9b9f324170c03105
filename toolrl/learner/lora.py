"""LoRA (arXiv 2106.09685): the start checkpoint frozen, small matrices beside its linear layers that are trained in its place.

    load the base ─> add_adapters ─> ZeRO-3 shards both        the optimizer, and a checkpoint of ours, hold the matrices only

The engines, the exports and the parity check see merged weights (`toolrl.weights.merged`); the reference is the same model with the
matrices switched off (`without_adapters`), so there is no second one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import AutoModelForCausalLM

from toolrl.config.learning import LearnerConfig
from toolrl.errors import UserError
from toolrl.weights.merged import ADAPTER

ALL_LINEAR = "all-linear"
"""Every linear layer but the head."""


def add_adapters(causal: Any, settings: LearnerConfig, seed: int) -> None:
    """Freeze `causal` and put LoRA's matrices beside its layers, in place. A starts random and B at 0: nothing changes at first.

    Args:
        causal: The Hugging Face model, its parameters sharded or not.
        settings: Rank, alpha and which modules.
        seed: Of A. Every rank must use the same, since each keeps its part of what it drew.

    Raises:
        UserError: No module has such a name, or one of them is not a linear layer inside the model.
    """
    dtype = next(causal.parameters()).dtype
    _check_targets(causal, settings.lora_targets)
    targets = ALL_LINEAR if settings.lora_targets == ALL_LINEAR else _names(settings.lora_targets)
    config = LoraConfig(r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=targets)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, causal, ADAPTER)
    for parameter in causal.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)  # peft makes them float32, while ZeRO-3 wants one type; its master copies are


@contextmanager
def without_adapters(causal: Any) -> Iterator[None]:
    """Make `causal` the model it was before `add_adapters`, for as long as the context lasts. Not for a forward pass with a gradient."""
    layers = [module for module in causal.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def require_targets(config: Any, targets: str) -> None:
    """Refuse names that no linear layer of a model has, before its weights are loaded.

    Args:
        config: By Hugging Face.
        targets: `learner.lora_targets`.

    Raises:
        UserError: As `add_adapters` does.
    """
    with torch.device("meta"):
        _check_targets(AutoModelForCausalLM.from_config(config), targets)


def _names(targets: str) -> list[str]:
    return [name for name in map(str.strip, targets.split(",")) if name]


def _check_targets(causal: Any, targets: str) -> None:
    if targets == ALL_LINEAR:
        return
    outer = (causal.get_input_embeddings(), causal.get_output_embeddings())
    inner = {name: module for name, module in causal.named_modules() if isinstance(module, nn.Linear) and module not in outer}
    short = {name.rpartition(".")[2] for name in inner}
    wrong = [target for target in _names(targets) or ["nothing"] if target not in inner and target not in short]
    if wrong:
        raise UserError(
            f"learner.lora_targets: {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} no linear layer of this model that LoRA can "
            f"go beside; name some of {', '.join(sorted(short))}, or {ALL_LINEAR}"
        )
