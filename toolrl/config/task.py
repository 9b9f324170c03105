"""What a run learns from: its prompts, how the model sees them, and the reward."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

REWARD_MODES = ("strict", "paper", "bfcl")
"""Values of `reward.mode`; `toolrl.reward` has one class for each."""
REWARD_FUNCTIONS = ("binary", "no_think", "partial_format", "partial_names", "lexicographic", "format", "match", "names")
"""Names in `reward.functions`; `toolrl.reward` has one function for each."""
NO_CALL = ("list", "text", "either")
"""Values of `reward.no_call`."""


@dataclass(frozen=True)
class DataConfig:
    """Prompts."""

    train: str = ""
    """Rows to train on: a JSONL file, a folder made by `toolrl prepare`, or `demo://train`."""
    heldout: str = ""
    """Rows for in-run evaluation, of the same kinds, none of them in `train`; empty: no evaluation."""
    subset: str = ""
    """Part of `train`, in percent of its dialogues, as in 50-100; empty: all. Parts that do not meet share no dialogue."""
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
    memory_gib: float = 4.0
    """Memory that the reward may take in a worker, beyond what the worker itself has, in GiB; where it wants more the group has no reward
    and the worker is replaced. 0: no bound."""
    start_timeout_s: float = 60.0
    """Longest wait for a worker to start."""
    quarantine_after: int = 3
    """Groups of one prompt that cost a worker before its later groups get no reward, unasked; 0: they are always judged."""
    audit_rows: int = 256
    """Rows of the pre-flight audit of the verifier; 0 switches it off."""


def subset_bounds(subset: str) -> tuple[float, float]:
    """Return the two ends of a `data.subset`, as shares of 1. Raises ValueError where it is none.

    >>> subset_bounds("0-50"), subset_bounds("")
    ((0.0, 0.5), (0.0, 1.0))
    """
    if not subset:
        return 0.0, 1.0
    low, dash, high = subset.partition("-")
    bounds = float(low) / 100, float(high) / 100
    if not dash or not 0 <= bounds[0] < bounds[1] <= 1:
        raise ValueError(subset)
    return bounds


def is_path(name: str) -> bool:
    """Whether a reward function's name is a path, `module:function`; either part may hold dots."""
    module, colon, function = name.partition(":")
    return bool(colon) and all(map(str.isidentifier, (*module.split("."), *function.split("."))))


def function_problems(functions: Mapping[str, float]) -> list[str]:
    """Return what is wrong with `reward.functions`, a line each; a user's own is not imported here."""
    found = []
    for name, weight in functions.items():
        if ":" in name and not is_path(name):
            found.append(f"reward.functions: got {name!r}; write a function of your own as module:function")
        elif ":" not in name and name not in REWARD_FUNCTIONS:
            close = difflib.get_close_matches(name, REWARD_FUNCTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose among {', '.join(REWARD_FUNCTIONS)}, or write module:function"
            found.append(f"reward.functions: unknown function {name!r}; {hint}")
        if not math.isfinite(weight):
            found.append(f"reward.functions: got the weight {weight} for {name!r}; set a finite number")
    if functions and not any(functions.values()):
        found.append("reward.functions: every weight is 0, so no answer would be better than another; set one above 0")
    return found
