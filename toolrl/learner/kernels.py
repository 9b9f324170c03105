"""Liger's fused Triton kernels inside a Hugging Face model: RMSNorm, rotary embedding and SwiGLU, on a GPU.

Never its fused cross-entropy: `toolrl.learner.logprobs` makes the log-probabilities, with temperature and entropy. Never run on a GPU yet.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

KERNELS = {"rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False}
"""What Liger replaces. Those an architecture does not have are left out by Liger itself."""


def fuse_kernels(causal: Any, device: str) -> bool:
    """Let `causal` compute with Liger's kernels and return True; False where there is no GPU, no liger-kernel, or no kernel for its kind.

    The modules' own parameters stay, so this may come before or after they are sharded. The rotary embedding is replaced for every model
    of this architecture in the process: a reference model gets it too, which changes rounding only.

    Args:
        causal: A Hugging Face model with a language-modelling head.
        device: `cpu` or `cuda`: what it will compute on.
    """
    if device != "cuda" or find_spec("liger_kernel") is None:
        return False
    from liger_kernel.transformers import monkey_patch  # it needs Triton, and a GPU to be of use

    if causal.config.model_type not in monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN:
        return False
    monkey_patch._apply_liger_kernel_to_instance(causal, **KERNELS)
    return True
