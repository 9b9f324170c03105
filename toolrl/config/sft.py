"""The settings of supervised training: its own sections, and those it shares with `toolrl rl`."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ClusterConfig, ModelConfig, RunConfig
from toolrl.config.task import PromptConfig


@dataclass(frozen=True)
class SftDataConfig:
    """Demonstrations: rows whose last assistant turn is the answer, or rows with a reference to render."""

    train: str = ""
    """Demonstrations: a JSONL file of rows with a `completion`, or `demo://sft`."""
    max_tokens: int = 4096
    """Prompt plus completion; longer rows are left out, and counted."""
    copy_warmup_steps: int = 0
    """Optimizer steps on random sequences repeated once, which teach a model from scratch to copy; they come first."""
    copy_warmup_rows: int = 64
    """Sequences of one such step."""


@dataclass(frozen=True)
class SftLoopConfig:
    """How supervised training is paced."""

    rows_per_batch: int = 16
    """Demonstrations of one optimizer step."""


@dataclass(frozen=True)
class SftConfig:
    """Settings of `toolrl sft`."""

    run: RunConfig = field(default_factory=lambda: RunConfig(dir="runs/sft"))
    model: ModelConfig = field(default_factory=ModelConfig)
    data: SftDataConfig = field(default_factory=SftDataConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    loop: SftLoopConfig = field(default_factory=SftLoopConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
