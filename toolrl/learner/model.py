"""A Hugging Face checkpoint -> a `Policy`: the model as the learner computes with it, sharded while it loads."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations import HfDeepSpeedConfig
from transformers.utils import logging

from toolrl.config.schema import ModelConfig
from toolrl.errors import UserError
from toolrl.learner.attention import implementation, unsupported
from toolrl.learner.kernels import fuse_kernels
from toolrl.learner.network import Policy
from toolrl.learner.sequence import SequenceParallel
from toolrl.learner.unpickling import fault

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
UNSUPPORTED_HEADS = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Configuration fields of heads that do more than multiply: their log-probabilities would be silently wrong."""


def read_config(path: str) -> Any:
    """Return the Hugging Face configuration of a folder or hub name.

    Raises:
        UserError: There is none, it cannot be read, or its head or its attention is of a kind that is not supported.
    """
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"model.path: cannot read a model from {path!r} ({error}); name a Hugging Face folder or hub model") from error
    odd = [name for name in UNSUPPORTED_HEADS if getattr(config, name, None) not in (None, 1, 1.0)]
    if odd:
        raise UserError(f"model.path: {path!r} changes its logits by {', '.join(odd)}, which is not supported; choose another model")
    if more := unsupported(config):
        raise UserError(f"model.path: {path!r} has {more}, which is not supported; choose another model")
    for name in vars(config):
        if name.endswith(("dropout", "_pdrop")):  # chance in the forward pass would make the ratio of equal weights differ from 1
            setattr(config, name, 0.0)
    return config


def load_policy(
    settings: ModelConfig, config: Any, deepspeed: dict[str, Any], sequence: SequenceParallel | None = None, device: str = "cpu"
) -> Policy:
    """Load the weights, each rank keeping its shard only.

    Args:
        settings: Where from, and how to compute.
        config: From `read_config`.
        deepspeed: The configuration of the engine that will hold it.
        sequence: The ranks that share each sequence, if several do.
        device: `cpu` or `cuda`: what it will compute on.

    Raises:
        UserError: The weights are missing, unreadable or incomplete.
    """
    attention = implementation(settings.attention)
    sharded_loading = HfDeepSpeedConfig(deepspeed)  # Transformers asks whether one is alive
    try:
        causal = load_causal(settings, config, attn_implementation=sequence.attention(attention, config) if sequence else attention)
    finally:
        del sharded_loading
    if causal.get_output_embeddings().bias is not None:
        raise UserError(f"model.path: the head of {settings.path!r} has a bias, which is not supported; choose another model")
    causal.config.use_cache = False
    if settings.liger:
        fuse_kernels(causal, device)
    if settings.gradient_checkpointing:
        causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Policy(causal, sequence)


def load_causal(settings: ModelConfig, config: Any, **how: Any) -> Any:
    """Return the Hugging Face model with its weights.

    Args:
        settings: Where from, and in which dtype.
        config: From `read_config`.
        how: Further arguments of Transformers.

    Raises:
        UserError: The weights are missing, unreadable or incomplete.
    """
    logging.disable_progress_bar()  # one from each rank
    try:
        causal, loading = AutoModelForCausalLM.from_pretrained(
            settings.path,
            config=config,
            dtype=DTYPES[settings.dtype],
            output_loading_info=True,
            weights_only=True,
            trust_remote_code=False,
            **how,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise UserError(f"model.path: cannot load the weights of {settings.path!r}: {error}") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"model.path: cannot load the weights of {settings.path!r}: the pickle {fault(error)}; use safetensors") from error
    if loading["missing_keys"]:  # Transformers fills them with random numbers
        names = ", ".join(sorted(loading["missing_keys"])[:5])
        raise UserError(f"model.path: {settings.path!r} lacks {len(loading['missing_keys'])} tensors of its model: {names}")
    return causal


def is_local(path: str) -> bool:
    """Whether `path` is a folder on this machine rather than a hub name."""
    return Path(path).is_dir()
