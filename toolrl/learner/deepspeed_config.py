"""Our settings -> DeepSpeed's configuration. There is no hand-written file, and nothing here is a user's to edit.

ZeRO-3 throughout. Gradient accumulation is ours (`managed_gradient_accumulation: false`): any number of backward passes, then one
step, each loss already divided by the tokens of the whole optimizer step.

ZeRO++'s quantised weights and gradients are left out on purpose: they change the gradient. Its second copy of the shards
(`learner.hpz_ranks`) changes only where they are gathered from.
"""

from __future__ import annotations

from typing import Any

from toolrl.config.learning import LearnerConfig

SMALLEST_BUCKET = 2**21
"""Elements. Below a few MB a collective costs its latency, so small models travel in one bucket."""
NEVER = 2**31 - 1


def training_config(settings: LearnerConfig, *, dtype: str, device: str, hidden_size: int) -> dict[str, Any]:
    """Return the configuration of the engine that trains.

    Args:
        settings: What is offloaded, what stays gathered, and where gradients are clipped.
        dtype: `bfloat16` (master weights and gradient sums in float32) or `float32`.
        device: `cpu` or `cuda`.
        hidden_size: Width of the model, for the size of the buckets.
    """
    zero = _zero(settings, device, hidden_size)
    if settings.hpz_ranks > 1:
        zero["zero_hpz_partition_size"] = settings.hpz_ranks
    if settings.offload_optimizer:
        zero["offload_optimizer"] = _on_host(device)
    if settings.offload_parameters:
        zero["offload_param"] = _on_host(device)
    return _common(dtype) | {
        "gradient_clipping": settings.clip_grad_norm,  # DeepSpeed clips at 1.0 where this is not named
        "zero_allow_untested_optimizer": True,
        "zero_optimization": zero,
    }


def inference_config(settings: LearnerConfig, *, dtype: str, device: str, hidden_size: int) -> dict[str, Any]:
    """Return the configuration of an engine without an optimizer: the reference model.

    Args:
        settings: Whether it is kept in host memory, and what stays gathered.
        dtype: `bfloat16` or `float32`.
        device: `cpu` or `cuda`.
        hidden_size: Width of the model, for the size of the buckets.
    """
    zero = _zero(settings, device, hidden_size)
    if settings.offload_reference:
        zero["offload_param"] = _on_host(device)
    return _common(dtype) | {"zero_optimization": zero}


def _common(dtype: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "steps_per_print": NEVER,
        "wall_clock_breakdown": False,
    }
    if dtype == "bfloat16":
        config |= {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
    return config


def _zero(settings: LearnerConfig, device: str, hidden_size: int) -> dict[str, Any]:
    bucket = max(hidden_size * hidden_size, SMALLEST_BUCKET)
    return {
        "stage": 3,
        "overlap_comm": device == "cuda",
        "contiguous_gradients": True,
        # DeepSpeed's own linear does not keep gathered weights alive for the backward pass; on CPU that is not worth its time.
        "memory_efficient_linear": device == "cuda",
        "reduce_bucket_size": bucket,
        "stage3_prefetch_bucket_size": settings.prefetch_elements or bucket,
        # What stays gathered is gathered for computing only: its gradient, master copy and optimizer state are sharded all the same.
        "stage3_param_persistence_threshold": settings.persistent_elements,
    }


def _on_host(device: str) -> dict[str, Any]:
    return {"device": "cpu", "pin_memory": device == "cuda"}
