"""The tensors a model's checkpoint has, by its names, and how each is made: as it lies, or from a frozen matrix and LoRA's two.

    base W [out, in]  ─┐
    lora_A   [r, in]   ├─>  W + scale · B A   under the name that W has without LoRA
    lora_B   [out, r] ─┘

peft puts the frozen layer under `base_layer` and its own matrices beside it; nothing of that is seen by who takes weights from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ADAPTER = "default"
"""Name that peft keeps our matrices under."""
BASE, MATRICES = ".base_layer.", (".lora_A.", ".lora_B.")
"""Parts of the parameter names of a layer with LoRA."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """LoRA's update of a matrix: `scale · up @ down` (arXiv 2106.09685, section 4.1, with scale = alpha / r)."""

    down: nn.Parameter
    """A, `[r, in]`."""
    up: nn.Parameter
    """B, `[out, r]`."""
    scale: float


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor of the checkpoint."""

    name: str
    """As in the Hugging Face checkpoint."""
    base: nn.Parameter
    """What it is, or what it was before `update`. May be sharded by ZeRO-3."""
    update: LowRank | None = None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """All that has to be gathered to make it."""
        return (self.base,) if self.update is None else (self.base, self.update.down, self.update.up)

    def value(self, dtype: torch.dtype) -> Tensor:
        """Return a copy of the tensor in `dtype`; all of `parameters` must be gathered. The sum is made in float32."""
        base = self.base.detach()
        if self.update is None:
            return base.to(dtype, copy=True)
        down, up = self.update.down.detach().float(), self.update.up.detach().float()
        return torch.addmm(base.float(), up, down, alpha=self.update.scale).to(dtype)


def checkpoint_weights(module: nn.Module) -> list[Weight]:
    """Return every tensor of `module` in its order, one that has several names under each of them."""
    layers: dict[str, Any] = dict(module.named_modules(remove_duplicate=False))
    found = []
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owner, is_base, own_name = name.rpartition(BASE)
        if any(part in name for part in MATRICES):
            continue
        update = _update(layers[owner]) if is_base and own_name == "weight" else None
        found.append(Weight(f"{owner}.{own_name}" if is_base else name, parameter, update))
    return found


def _update(layer: Any) -> LowRank:
    return LowRank(layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight, float(layer.scaling[ADAPTER]))
