"""Our settings -> DeepSpeed's configuration. There is no hand-written file, and nothing here is a user's to edit.

ZeRO-3 throughout. Gradient accumulation is ours (`managed_gradient_accumulation: false`): any number of backward passes, then one
step, each loss already divided by the tokens of the whole optimizer step.
"""

from __future__ import annotations

from typing import Any

SMALLEST_BUCKET = 2**21
"""Elements. Below a few MB a collective costs its latency, so small models travel in one bucket."""
PERSISTENCE_THRESHOLD = 2**18
"""Elements. A parameter up to this size stays gathered between passes (norms, biases, all of a tiny model); its gradient, its
master copy and its optimizer state are sharded all the same."""
NEVER = 2**31 - 1


def training_config(
    *,
    dtype: str,
    device: str,
    hidden_size: int,
    clip_grad_norm: float,
    offload_optimizer: bool,
    persistence_threshold: int = PERSISTENCE_THRESHOLD,
) -> dict[str, Any]:
    """Return the configuration of the engine that trains.

    Args:
        dtype: `bfloat16` (master weights and gradient sums in float32) or `float32`.
        device: `cpu` or `cuda`.
        hidden_size: Width of the model, for the size of the buckets.
        clip_grad_norm: Largest global gradient norm; 0 does not clip.
        offload_optimizer: Keep master weights and optimizer states in host memory.
        persistence_threshold: Elements up to which a parameter stays gathered.
    """
    zero = _zero(device, hidden_size, persistence_threshold)
    if offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": device == "cuda"}
    return _common(dtype) | {
        "gradient_clipping": clip_grad_norm,  # DeepSpeed clips at 1.0 where this is not named
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": zero,
    }


def inference_config(
    *, dtype: str, device: str, hidden_size: int, offload_parameters: bool, persistence_threshold: int = PERSISTENCE_THRESHOLD
) -> dict[str, Any]:
    """Return the configuration of an engine without an optimizer: the reference model.

    Args:
        dtype: `bfloat16` or `float32`.
        device: `cpu` or `cuda`.
        hidden_size: Width of the model, for the size of the buckets.
        offload_parameters: Keep the shards in host memory between uses.
        persistence_threshold: Elements up to which a parameter stays gathered.
    """
    zero = _zero(device, hidden_size, persistence_threshold)
    if offload_parameters:
        zero["offload_param"] = {"device": "cpu", "pin_memory": device == "cuda"}
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


def _zero(device: str, hidden_size: int, persistence_threshold: int) -> dict[str, Any]:
    bucket = max(hidden_size * hidden_size, SMALLEST_BUCKET)
    return {
        "stage": 3,
        "overlap_comm": device == "cuda",
        "contiguous_gradients": True,
        # DeepSpeed's own linear does not keep gathered weights alive for the backward pass; on CPU that is not worth its time.
        "memory_efficient_linear": device == "cuda",
        "reduce_bucket_size": bucket,
        "stage3_prefetch_bucket_size": bucket,
        "stage3_param_persistence_threshold": persistence_threshold,
    }
