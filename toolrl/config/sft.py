"""The settings of supervised training: its own sections, and those it shares with `toolrl rl`."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import CheckpointConfig, ClusterConfig, EngineConfig, ModelConfig, MonitorConfig, RunConfig, WeightsConfig
from toolrl.config.task import PromptConfig, RewardConfig


@dataclass(frozen=True)
class SftDataConfig:
    """Demonstrations: rows with the completion to imitate."""

    train: str = ""
    """Demonstrations: what `toolrl distill` wrote, a JSONL file of rows with a `completion`, or `demo://sft`."""
    heldout: str = ""
    """Demonstrations for the held-out loss, none of them in `train`, or `demo://sft-heldout`; empty: none is measured."""
    subset: str = ""
    """Part of `train`, in percent of its dialogues, as in 0-50; empty: all. Parts that do not meet share no dialogue."""
    reasoning: bool = True
    """Whether completions keep their reasoning; without it the `<think>` part is cut off, and only the calls are imitated."""
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
    epochs: float = 0.0
    """Passes over the demonstrations, behind the copying warm-up, rounded up to whole steps; 0: `run.steps` counts instead."""


@dataclass(frozen=True)
class SftEvalConfig:
    """Evaluation during supervised training, at its start and at its end."""

    every: int = 0
    """Optimizer steps between two evaluations; 0: only before and after the run."""
    heldout: str = ""
    """Prompts that engines answer greedily, rows with a reference as `toolrl rl` takes them; empty: no engine is started."""
    prompts: int = 256
    """Most of those prompts, and most held-out demonstrations, in one evaluation."""
    max_tokens: int = 1024
    """Longest completion, in tokens."""


@dataclass(frozen=True)
class SftConfig:
    """Settings of `toolrl sft`."""

    run: RunConfig = field(default_factory=lambda: RunConfig(dir="runs/sft"))
    model: ModelConfig = field(default_factory=ModelConfig)
    data: SftDataConfig = field(default_factory=SftDataConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    loop: SftLoopConfig = field(default_factory=SftLoopConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    eval: SftEvalConfig = field(default_factory=SftEvalConfig)
    checkpoint: CheckpointConfig = field(default_factory=lambda: CheckpointConfig(every=200))
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    @property
    def max_model_len(self) -> int:
        """Longest prompt plus completion an engine must hold, in tokens."""
        return self.engine.max_model_len or self.data.max_tokens + self.eval.max_tokens
