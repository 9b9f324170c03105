"""`toolrl explain RUN --sample ID`: everything there is to know of one sample, found in the run folder and judged again.

draw, sample ─> the rows of its group ─> the group's rewards, mean, std, advantages
                prompt and text       ─> the diff of calls, the place of the fault, the verdict under each mode and reward function
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolrl.calls.diff import CallDiff, diff_calls
from toolrl.calls.fault import Fault
from toolrl.calls.lenient import find_calls
from toolrl.calls.locate import locate
from toolrl.calls.parse import Answer, parse
from toolrl.config.task import RewardConfig
from toolrl.errors import ConfigError
from toolrl.monitor import rollouts
from toolrl.pipelines.review.rewards import told
from toolrl.pipelines.review.samples import what_exists
from toolrl.pipelines.review.stored import StoredRun
from toolrl.reward.judge import judge
from toolrl.reward.verifier import MODES, make_verifier
from toolrl.types import Prompt, Reason, Verdict

COLUMNS = (
    "version", "draw", "sample", "attempt", "trained", "prompt_id", "engine", "reward", "reason", "path", "expected", "got", "format_right",
    "content_right", "advantage", "num_tokens", "finish_reason", "oldest_version", "seed", "spans", "text",
)  # fmt: skip
STRICT, LENIENT, NONE = "strict", "lenient", "none"
"""How the calls of a completion were read: by the strict form, leniently because it is broken, or not at all."""


Row = Mapping[str, Any]
"""A row of rollouts/: COLUMNS and their values."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one reward says of the sample today."""

    name: str
    verdict: Verdict | None
    """None where the reward cannot be made here."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """The rewards of a draw's siblings."""

    rewards: tuple[float | None, ...]
    mean: float | None
    std: float | None
    """Over n - 1; None where fewer than two have a reward."""

    @property
    def dull(self) -> bool:
        """Whether no completion is better than its siblings."""
        return len({reward for reward in self.rewards if reward is not None}) < 2


@dataclass(frozen=True, slots=True)
class Explanation:
    """One sample of a run."""

    row: Row
    siblings: tuple[Row, ...]
    """The rows of its group, itself included, in order."""
    group: GroupStatistics
    prompt: Prompt
    reward: str
    """The run's reward in words."""
    reading: str
    """STRICT, LENIENT or NONE."""
    diffs: tuple[CallDiff, ...]
    place: int | None
    """The character of the text at which the strict verdict finds its fault."""
    judged: tuple[Judged, ...]
    """The run's own reward, then each mode, as reward 1 or 0."""
    functions: tuple[Judged, ...]
    """Each reward function of the run by itself, before its weight; none where its reward is the verdict."""

    @property
    def evaluated(self) -> bool:
        """Whether it was sampled to measure a model and never trained: no batch makes version 0."""
        return bool(self.row["version"] == 0)


def explain(run: StoredRun, draw: int, sample: int) -> Explanation:
    """Return all there is to know of a sample. Raises ConfigError where the run has none of this number, or RunFolderError."""
    siblings = sorted(rollouts.find(run.rollouts, draw, COLUMNS).to_pylist(), key=lambda row: row["sample"])
    row = next((row for row in siblings if row["sample"] == sample), None)
    if row is None:
        raise ConfigError(f"--sample: no {draw}.{sample} in {run.path}; {what_exists(run)}")
    return explain_row(row, siblings, run.prompt(row["prompt_id"]), run.config.reward)


def explain_row(row: Row, siblings: Sequence[Row], prompt: Prompt, reward: RewardConfig) -> Explanation:
    """Return what is to be known of a row of rollouts/, one of `siblings`, in a run with this reward."""
    group = group_statistics([sibling["reward"] for sibling in siblings])
    text = row["text"]
    if text is None:
        return Explanation(row, tuple(siblings), group, prompt, told(reward), NONE, (), None, (), ())
    judged = _judged(reward, prompt, text)
    functions = tuple(_judge(name, replace(reward, functions={name: 1.0}), prompt, text) for name in reward.functions)
    reading, diffs = diffs_of(prompt, text)
    return Explanation(row, tuple(siblings), group, prompt, told(reward), reading, diffs, _place(judged, text), judged, functions)


def group_statistics(rewards: Sequence[float | None]) -> GroupStatistics:
    """Return the statistics of a group's rewards; one without a reward is in none."""
    known = [reward for reward in rewards if reward is not None]
    mean = math.fsum(known) / len(known) if known else None
    std = None
    if mean is not None and len(known) > 1:
        std = math.sqrt(math.fsum((reward - mean) ** 2 for reward in known) / (len(known) - 1))
    return GroupStatistics(tuple(rewards), mean, std)


def _judged(reward: RewardConfig, prompt: Prompt, text: str) -> tuple[Judged, ...]:
    own = _judge("this run", reward, prompt, text)
    return (own, *(_judge(mode, replace(reward, mode=mode, functions={}), prompt, text) for mode in MODES))


def _judge(name: str, reward: RewardConfig, prompt: Prompt, text: str) -> Judged:
    try:
        verifier = make_verifier(reward.mode, reward.no_call, reward.functions)
    except ConfigError as error:  # a reward function of the run that cannot be imported here: all else can still be shown
        return Judged(name, None, str(error))
    return Judged(name, judge(verifier, prompt, text, reward.deadline_s))


def diffs_of(prompt: Prompt, text: str) -> tuple[str, tuple[CallDiff, ...]]:
    """Return how the calls of a completion were read (STRICT, LENIENT or NONE), and each beside its reference."""
    parsed = parse(text)
    if isinstance(parsed, Fault):
        found = find_calls(text)
        return (NONE, ()) if found is None else (LENIENT, diff_calls(found, prompt))
    calls = () if isinstance(parsed, Answer) else parsed.calls
    return STRICT, diff_calls(calls, prompt)


def _place(judged: Sequence[Judged], text: str) -> int | None:
    strict = next(j.verdict for j in judged if j.name == "strict")
    if strict is None or strict.reason is Reason.CORRECT or strict.reason.is_failure:
        return None
    return locate(text, Fault(strict.reason, strict.path, strict.expected, strict.got))


def line_and_column(text: str, place: int) -> tuple[int, int]:
    r"""Return line and column of a character, both counted from 1; only line feeds end a line.

    >>> line_and_column("ab\ncd", 4)
    (2, 2)
    """
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
