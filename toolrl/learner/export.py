"""ZeRO-3 shards -> a Hugging Face folder that Transformers and vLLM load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from huggingface_hub import snapshot_download
from torch import Tensor

from toolrl.learner.model import is_local
from toolrl.weights.merged import checkpoint_weights

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip


def export_model(causal: Any, start: str, folder: Path) -> list[Path]:
    """Write the present weights, LoRA's merged, in the dtype the engines compute in, beside the start checkpoint's tokenizer. Collective.

    Args:
        causal: The Hugging Face model with its sharded parameters.
        start: Folder or hub name of the checkpoint it was loaded from.
        folder: Where to; made if it is not there. Rank 0 writes.

    Returns:
        What this rank wrote.
    """
    tensors = _gathered(causal)
    if dist.get_rank() == 0:
        write_model(causal, tensors, start, folder)
    dist.barrier()
    return [path for path in folder.rglob("*") if path.is_file()] if dist.get_rank() == 0 else []


def write_model(causal: Any, tensors: dict[str, Tensor], start: str, folder: Path) -> None:
    """Write whole tensors as the weights of a Hugging Face model, beside the tokenizer of the checkpoint `start`."""
    folder.mkdir(parents=True, exist_ok=True)
    causal.save_pretrained(folder, state_dict=tensors)
    source = Path(start) if is_local(start) else Path(snapshot_download(start, allow_patterns=list(TOKENIZER_FILES)))
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _gathered(causal: Any) -> dict[str, Tensor]:
    """Return every tensor of the checkpoint, whole and in host memory, on rank 0, and nothing elsewhere; a tied weight has one name.

    LoRA's matrices are merged. One tensor at a time, so that no device need hold the model.
    """
    kept = set(causal.state_dict(keep_vars=True))
    tensors: dict[str, Tensor] = {}
    done: set[int] = set()
    for weight in checkpoint_weights(causal):
        if id(weight.base) in done:
            continue
        done.add(id(weight.base))
        with torch.no_grad(), deepspeed.zero.GatheredParameters(list(weight.parameters)):
            if dist.get_rank() == 0:
                tensors[weight.name] = weight.value(weight.base.dtype).to("cpu").contiguous()
    if dist.get_rank() == 0:
        tensors |= {name: buffer.detach().cpu() for name, buffer in causal.named_buffers() if name in kept}
    return tensors
