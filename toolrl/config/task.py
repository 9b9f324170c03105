"""What a run learns from: its prompts, how the model sees them, and the reward."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DataConfig:
    """Prompts."""

    train: str = ""
    """Rows to train on: a JSONL file, a folder made by `toolrl prepare`, or `demo://train`."""
    heldout: str = ""
    """Rows for in-run evaluation, of the same kinds, none of them in `train`; empty: no evaluation."""
    max_prompt_tokens: int = 4096
    """Prompts longer than this are left out, and counted."""


@dataclass(frozen=True)
class PromptConfig:
    """How the model sees a prompt."""

    template: str = ""
    """System message (and chat template): a shipped name, a file, or a model folder; empty: that of `model.path`, else `tool_n1`."""


@dataclass(frozen=True)
class RewardConfig:
    """The reward and its workers."""

    mode: str = "strict"
    """Rules of form and equality: strict, paper (those of Tool-N1, surprising verdicts included), or bfcl (BFCL's AST checker)."""
    functions: dict[str, float] = field(default_factory=dict)
    """Reward functions by name or `module:function`, each with its weight in the sum that is the reward; empty: `binary: 1`."""
    no_call: str = "either"
    """What answers a prompt whose reference is empty: list (an empty list), text (a plain answer), or either."""
    workers: int = 2
    """Reward workers."""
    cpus_per_worker: float = 0.1
    """Ray CPUs a reward worker asks for."""
    groups_per_call: int = 16
    """Groups sent to a worker in one call."""
    deadline_s: float = 10.0
    """Longest time for the verdicts of one group; a worker that takes longer is replaced."""
    audit_rows: int = 256
    """Rows of the pre-flight audit of the verifier; 0 switches it off."""
