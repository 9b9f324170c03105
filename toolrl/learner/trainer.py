"""The DeepSpeed engine behind four verbs: forward, backward, update, checkpoint.

Imported only once the process has joined its group: DeepSpeed chooses its device and backend while it is imported.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from torch import Tensor

from toolrl.algo.aggregate import aggregate
from toolrl.config.learning import LearnerConfig
from toolrl.errors import CheckpointError, DivergedError
from toolrl.learner.collate import Tokens
from toolrl.learner.flops import Shape
from toolrl.learner.network import Policy
from toolrl.learner.optimizer import build_optimizer, build_schedule
from toolrl.learner.reshard import files_of_ranks, load_resharded
from toolrl.learner.unpickling import tensors_only

# Shared-memory all-reduce is for inference; DeepSpeed would compile it at start-up, and fail where there is no C++ compiler.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
# DeepSpeed 0.19 calls what torch 2.13 has renamed, once for every bucket.
warnings.filterwarnings("ignore", category=FutureWarning, message=".*torch.distributed.*deprecated")

TAG = "learner"
"""Folder of DeepSpeed's files inside a checkpoint."""
_STATES = 3
"""Master weights, and two moments of Adam's."""


class Trainer:
    """One rank of a model in training.

    Args:
        policy: The model, sharded.
        config: DeepSpeed's configuration of it.
        settings: Optimizer and schedule.
        total_steps: Optimizer steps of the run, where the schedule ends.
    """

    def __init__(self, policy: Policy, config: dict[str, Any], settings: LearnerConfig, total_steps: int) -> None:
        self.optimizer_steps = 0
        self._max_grad_norm = settings.max_grad_norm
        self._has_frozen = not all(parameter.requires_grad for parameter in policy.parameters())
        self._engine, *_ = deepspeed.initialize(
            model=policy,
            optimizer=build_optimizer(policy.causal, settings),
            lr_scheduler=build_schedule(settings, total_steps),
            config=config,
        )
        self._engine.train()
        self.shape = Shape.of(policy.causal)
        """What its arithmetic is counted from."""

    @property
    def engine(self) -> Any:
        """The DeepSpeed engine, for who moves or inspects its states."""
        return self._engine

    @property
    def causal(self) -> Any:
        """The Hugging Face model with its sharded parameters."""
        return self._engine.module.causal

    def forward(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy of each trained token. Collective."""
        logp, entropy = self._engine(tokens, temperature)
        return logp, entropy

    def backward(self, loss: Tensor, denominator: float) -> None:
        """Accumulate the gradient of a micro-batch's token losses. Collective.

        Args:
            loss: `[N]`.
            denominator: Trained tokens of the whole optimizer step, over all ranks.
        """
        # DeepSpeed averages over ranks, while the denominator is already that of all of them.
        self._engine.backward(aggregate(loss, denominator) * dist.get_world_size())

    def update(self) -> tuple[float, float]:
        """Take an optimizer step; return the global gradient norm before clipping and the learning rate that was used. Collective.

        Raises:
            DivergedError: The gradient is not finite (DeepSpeed would skip the step without a word), or too large: the weights are spoilt.
        """
        lr = float(self._engine.get_lr()[0])
        self._engine.step()
        if not self._engine.was_step_applied():
            raise DivergedError(
                f"optimizer step {self.optimizer_steps + 1}: the gradient is not finite; lower learner.lr, or look at the data"
            )
        self.optimizer_steps += 1
        norm = float(self._engine.get_global_grad_norm())
        if 0 < self._max_grad_norm < norm:
            raise DivergedError(
                f"optimizer step {self.optimizer_steps}: gradient norm {norm:.4g}, above learner.max_grad_norm={self._max_grad_norm:g}"
            )
        return norm, lr

    def save(self, folder: Path) -> list[Path]:
        """Write this rank's part of a checkpoint, and return its files; what is frozen is in the start checkpoint already. Collective."""
        state = {"optimizer_steps": self.optimizer_steps, "rng": torch.get_rng_state()}
        self._engine.save_checkpoint(
            str(folder), tag=TAG, client_state={"toolrl": state}, save_latest=False, exclude_frozen_parameters=self._has_frozen
        )
        return sorted((folder / TAG).glob(f"*zero_pp_rank_{dist.get_rank()}_*"))

    def sizes(self) -> tuple[int, int]:
        """Return about how many bytes of a checkpoint this rank writes, and its share of those of an exported model.

        A checkpoint has the master weights, and of each at most two states of the optimizer.
        """
        masters = sum(flat.numel() * flat.element_size() for flat in self._engine.optimizer.fp32_partitioned_groups_flat)
        weights = sum(parameter.ds_numel * parameter.element_size() for parameter in self._engine.module.parameters())
        return _STATES * masters, weights // dist.get_world_size()

    def load(self, folder: Path) -> None:
        """Continue from a checkpoint of any number of ranks: of as many bit for bit, of others with every value the same. Collective.

        Raises:
            CheckpointError: There is none, it belongs to another model, or a file of it is more than tensors.
        """
        written_by = len(files_of_ranks(folder / TAG))
        state = None
        try:
            with tensors_only(folder):
                if written_by == dist.get_world_size():
                    _, state = self._engine.load_checkpoint(str(folder), tag=TAG, load_module_strict=not self._has_frozen)
                elif written_by:
                    state = load_resharded(self._engine, folder / TAG, strict=not self._has_frozen)
        except CheckpointError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError, AssertionError, deepspeed.runtime.zero.utils.ZeRORuntimeException) as error:
            raise CheckpointError(f"{folder}: does not fit this learner: {error}") from error
        if state is None:
            raise CheckpointError(f"{folder}: holds no checkpoint of a learner")
        self.optimizer_steps = state["toolrl"]["optimizer_steps"]
        torch.set_rng_state(state["toolrl"]["rng"])
