"""The ZeRO-3 shards of a checkpoint -> a Hugging Face folder, in one process and in host memory.

    start checkpoint ─> model, with LoRA's matrices where they were trained <─ trained values <─ master weights of all ranks, put together
                         └─ checkpoint_weights: merged, in the engines' type ─> a folder as `export` writes it

No rank is started, so a checkpoint of any number of ranks can be read on any machine that has room for the model.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import CheckpointError
from toolrl.learner.export import write_model
from toolrl.learner.lora import add_adapters
from toolrl.learner.model import load_causal, read_config
from toolrl.learner.trainer import TAG
from toolrl.learner.unpickling import tensors_only
from toolrl.weights.merged import checkpoint_weights

CAUSAL = "causal."
"""What the names of the Hugging Face model begin with in the learner."""


def consolidate(checkpoint: Path, model: ModelConfig, learner: LearnerConfig, *, seed: int, folder: Path) -> None:
    """Write the model of a checkpoint, LoRA's merged, in the dtype the engines compute in, beside the start checkpoint's tokenizer.

    Args:
        checkpoint: What the ranks saved.
        model: The start checkpoint and the dtype, as the run had them.
        learner: Whether and how LoRA was used.
        seed: Of the run.
        folder: Where to; made if it is not there.

    Raises:
        UserError: The start checkpoint cannot be read.
        CheckpointError: The shards are not there, or of another model.
    """
    causal = load_causal(model, read_config(model.path))
    if learner.lora_rank:
        add_adapters(causal, learner, seed)
    _fill(causal, _master_weights(checkpoint, partial=bool(learner.lora_rank)), checkpoint)
    tensors: dict[str, torch.Tensor] = {}
    done: set[int] = set()
    for weight in checkpoint_weights(causal):
        if id(weight.base) not in done:
            done.add(id(weight.base))
            tensors[weight.name] = weight.value(weight.base.dtype)
    write_model(causal, tensors, model.path, folder)


def _master_weights(checkpoint: Path, *, partial: bool) -> dict[str, Any]:
    """Return every trained tensor in float32, put together when it is asked for its values; DeepSpeed's own words are not shown."""
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), tensors_only(checkpoint):
            found: dict[str, Any] = get_fp32_state_dict_from_zero_checkpoint(
                str(checkpoint), tag=TAG, exclude_frozen_parameters=partial, lazy_mode=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoint}: its shards cannot be put together: {error}") from error
    return found


def _fill(causal: Any, weights: dict[str, Any], checkpoint: Path) -> None:
    """Give every trained parameter its value."""
    with torch.no_grad():
        for name, parameter in causal.named_parameters():
            if not parameter.requires_grad:
                continue
            tensor = weights.get(CAUSAL + name)
            if tensor is None or tuple(tensor.shape) != tuple(parameter.shape):
                got = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
                raise CheckpointError(f"{checkpoint}: is of another model: expected {name} of shape {tuple(parameter.shape)}, got {got}")
            parameter.copy_(tensor.contiguous())
