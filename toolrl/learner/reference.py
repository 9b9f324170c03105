"""The start checkpoint as the KL penalty sees it: a callable from tokens to log-probabilities.

    no penalty ─> None         LoRA ─> the model in training, its matrices off         else ─> a frozen copy, sharded over the same ranks

A copy lies on the learner's device, or by `learner.offload_reference` in host memory, from where each layer comes when it is used.
"""

from __future__ import annotations

from typing import Any, Protocol

import deepspeed
import torch
from torch import Tensor

from toolrl.learner.collate import Tokens
from toolrl.learner.lora import without_adapters
from toolrl.learner.network import Policy
from toolrl.learner.trainer import Trainer


class Reference(Protocol):
    """Tokens and temperature -> log-probability and entropy of each trained token, float32 `[N]`, without a gradient. Collective."""

    engines: tuple[Any, ...]
    """DeepSpeed engines that hold states of its own."""

    def __call__(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities and entropies of the start checkpoint."""
        ...


class FrozenCopy:
    """A model of its own.

    Args:
        policy: The start checkpoint, sharded.
        config: DeepSpeed's configuration, without an optimizer.
    """

    def __init__(self, policy: Policy, config: dict[str, Any]) -> None:
        policy.requires_grad_(False)
        self._engine, *_ = deepspeed.initialize(model=policy, config=config)
        self._engine.eval()
        self.engines: tuple[Any, ...] = (self._engine,)

    @torch.no_grad()
    def __call__(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies of the start checkpoint."""
        logp, entropy = self._engine(tokens, temperature)
        return logp, entropy


class AdaptersOff:
    """The model in training, as it was before LoRA's matrices.

    Args:
        trainer: Trains a model with LoRA.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.engines: tuple[Any, ...] = ()
        self._trainer = trainer

    @torch.no_grad()
    def __call__(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies of the start checkpoint."""
        with without_adapters(self._trainer.causal):
            return self._trainer.forward(tokens, temperature)
