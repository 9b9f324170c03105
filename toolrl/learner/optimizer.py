"""Optimizers over ZeRO-3's flat shards, and learning-rate schedules.

DeepSpeed hands an optimizer one flat float32 tensor for each parameter group (this rank's share of every parameter in it, one behind
the other), so a group that needs whole matrices carries their shape and gathers them.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from toolrl.config.learning import LearnerConfig
from toolrl.errors import UserError

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan 2024, "Muon: an optimizer for hidden layers")."""
NEWTON_SCHULZ_STEPS = 5


def build_optimizer(causal: Any, settings: LearnerConfig) -> Optimizer:
    """Return the optimizer of a model whose parameters may be sharded: AdamW, or Muon for hidden matrices and AdamW for the rest.

    Frozen parameters are left out; norms and biases are not decayed, all else is, LoRA's matrices included.

    Raises:
        UserError: `learner.offload_optimizer`, and this machine cannot build the optimizer of host memory.
    """
    groups = [group for group in _groups(causal, settings) if group["params"]]
    betas = (settings.beta1, settings.beta2)
    if settings.optimizer == "muon":
        return MuonAdamW(groups, lr=settings.lr, betas=betas, fused=True)
    if settings.offload_optimizer:
        return _host_adamw(groups, lr=settings.lr, betas=betas)
    return AdamW(groups, lr=settings.lr, betas=betas, fused=True)


def _groups(causal: Any, settings: LearnerConfig) -> list[dict[str, Any]]:
    outer = {id(embedding.weight) for embedding in (causal.get_input_embeddings(), causal.get_output_embeddings())}
    decayed, plain = [], []
    hidden: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
    for parameter in (parameter for parameter in causal.parameters() if parameter.requires_grad):
        shape = tuple(getattr(parameter, "ds_shape", parameter.shape))
        if len(shape) < 2:
            plain.append(parameter)
        elif settings.optimizer == "muon" and len(shape) == 2 and id(parameter) not in outer:
            hidden[shape].append(parameter)
        else:
            decayed.append(parameter)
    decay = settings.weight_decay
    return [
        {"params": decayed, "weight_decay": decay, "matrix": None},
        {"params": plain, "weight_decay": 0.0, "matrix": None},
        *({"params": same, "weight_decay": decay, "matrix": shape, "lr": settings.muon_lr} for shape, same in hidden.items()),
    ]


def _host_adamw(groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> Optimizer:
    """Return DeepSpeed's AdamW, which steps in host memory with vector instructions.

    It is compiled on first use (about a minute) into TORCH_EXTENSIONS_DIR, by default a cache folder in the user's home.
    """
    from deepspeed.ops.adam import DeepSpeedCPUAdam  # DeepSpeed is imported once the process has joined its group

    if shutil.which("ninja") is None:  # the build asks for it, and pip puts it beside a Python that need not be on the path
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    try:
        optimizer: Optimizer = DeepSpeedCPUAdam(groups, lr=lr, betas=betas, adamw_mode=True)
    except RuntimeError as error:
        compiler = os.environ.get("CXX", "c++")
        reason = str(error.__cause__ or error).partition("\n")[0] if shutil.which(compiler) else f"there is no {compiler}"
        raise UserError(
            f"learner.offload_optimizer: its optimizer has to be compiled on the learner's nodes, and {reason}; "
            "install a C++ compiler (g++), or set learner.offload_optimizer=false"
        ) from error
    return optimizer


class MuonAdamW(AdamW):
    """AdamW that updates the groups with a `matrix` shape by Muon: momentum, then the nearest semi-orthogonal matrix.

    Momentum is element-wise and stays sharded; only the update is gathered over the ranks. Scaled by `sqrt(max(1, rows / columns))`.
    """

    momentum = 0.95

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            if group["matrix"]:
                for flat in group["params"]:
                    if flat.grad is not None:
                        self._update_matrices(flat, flat.grad, group)
                        flat.grad = None  # so that AdamW leaves it alone
        return super().step(closure)

    def _update_matrices(self, flat: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        """Update same-shaped matrices that lie one behind the other in `flat`."""
        state = self.state[flat]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(flat)
            state["step"] = torch.zeros(())  # AdamW looks for it when it loads a state
        momentum = state["momentum"].lerp_(grad, 1 - self.momentum)
        ahead = grad.lerp(momentum, self.momentum)  # Nesterov
        rows, columns = group["matrix"]
        update = _shard(orthogonalize(_gather(ahead, rows, columns)), flat)
        flat.mul_(1 - group["lr"] * group["weight_decay"])
        flat.add_(update, alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return matrices `[K, R, C]` with their singular values brought near 1 (between about 0.7 and 1.2), by Newton-Schulz."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    x: Tensor = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _gather(flat: Tensor, rows: int, columns: int) -> Tensor:
    """Join the shards of all ranks into matrices `[K, rows, columns]`: each rank holds an equal, padded piece of every one."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    piece = -(-rows * columns // world)
    parts = [flat]
    if world > 1:
        parts = [torch.empty_like(flat) for _ in range(world)]
        dist.all_gather(parts, flat)
    whole = torch.cat([part.view(-1, piece) for part in parts], dim=1)
    return whole[:, : rows * columns].reshape(-1, rows, columns)


def _shard(matrices: Tensor, flat: Tensor) -> Tensor:
    """Return this rank's piece of each matrix, laid out as `flat` is."""
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    piece = flat.numel() // len(matrices)
    padded = nn.functional.pad(matrices.flatten(1), (0, piece * world - matrices[0].numel()))
    return padded[:, rank * piece : (rank + 1) * piece].reshape(-1)


def schedule_factor(settings: LearnerConfig, total_steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate at each optimizer step: linear warm-up, then constant, linear or cosine to 0.

    Args:
        settings: Kind and warm-up.
        total_steps: Optimizer steps of the run; the decay ends there.
    """
    warmup = settings.warmup_steps or round(settings.warmup_share * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        match settings.schedule:
            case "linear":
                return 1 - progress
            case "cosine":
                return (1 + math.cos(math.pi * progress)) / 2
            case _:
                return 1.0

    return factor


def build_schedule(settings: LearnerConfig, total_steps: int) -> Callable[[Optimizer], LambdaLR]:
    """Return what DeepSpeed calls with the optimizer to get its schedule, which advances once for each optimizer step."""
    factor = schedule_factor(settings, total_steps)
    return lambda optimizer: LambdaLR(optimizer, factor)
