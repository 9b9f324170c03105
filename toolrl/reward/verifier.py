"""The verifiers: (Prompt, text) -> Verdict, pure, total and picklable.

    text ─ mode ─> Findings ─ functions ─> Σ weight × value ─> Verdict, with the fault that the mode found

A mode is a way to read and a way to compare (`modes`); a function makes a number of what was found (`functions`), or is the
user's own (`custom`). Beside the reward every verdict says whether the form was right and whether the content was, under a
lenient reading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolrl.config.task import NO_CALL, REWARD_MODES, function_problems, is_path
from toolrl.errors import ConfigError
from toolrl.protocols import Verifier
from toolrl.reward.custom import Custom
from toolrl.reward.findings import RIGHT, Findings, Mode
from toolrl.reward.functions import FUNCTIONS, Function, binary
from toolrl.reward.modes import BfclMode, PaperMode, StrictMode
from toolrl.types import Prompt, Reason, Verdict

MODES = REWARD_MODES
BINARY: tuple[tuple[float, Function], ...] = ((1.0, binary),)


def make_verifier(mode: str, no_call: str = "either", functions: Mapping[str, float] | None = None) -> Verifier:
    """Return the verifier of a mode: strict, paper or bfcl.

    `no_call` says what answers an empty reference under strict and bfcl: an empty `list`, a plain `text`, or `either`; the
    paper's rules know only the list. `functions` are weights by the name of a reward function or `module:function`; none is
    `{"binary": 1}`. Raises ConfigError with every problem.
    """
    problems = []
    if mode not in MODES:
        problems.append(f"reward.mode: got {mode!r}; choose one of {', '.join(MODES)}")
    if no_call not in NO_CALL:
        problems.append(f"reward.no_call: got {no_call!r}; choose one of {', '.join(NO_CALL)}")
    problems += function_problems(functions or {})
    terms, own = [], []
    for name, weight in (functions or {}).items():
        if name in FUNCTIONS:
            terms.append((float(weight), FUNCTIONS[name]))
        elif is_path(name):
            try:
                own.append((float(weight), Custom(name, str(Path.cwd()))))
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return RewardVerifier(_mode(mode, no_call), tuple(terms) if functions else BINARY, tuple(own))


def users_deadline(verifier: Verifier, deadline_s: float | None) -> float | None:
    """Return `deadline_s` where the verifier runs a function of the user's, which alone can be late; else None."""
    return deadline_s if isinstance(verifier, RewardVerifier) and verifier.own else None


def _mode(mode: str, no_call: str) -> Mode:
    if mode == "paper":
        return PaperMode()
    return StrictMode(no_call) if mode == "strict" else BfclMode(no_call)


@dataclass(frozen=True, slots=True)
class RewardVerifier:
    """The weighted sum of reward functions over what a mode finds."""

    mode: Mode
    terms: tuple[tuple[float, Function], ...] = BINARY
    own: tuple[tuple[float, Custom], ...] = ()
    """The user's functions."""
    _right: Verdict = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        right = Verdict(self._sum(RIGHT), Reason.CORRECT, format_right=True, content_right=True)
        object.__setattr__(self, "_right", right)  # the verdict on every right completion

    @property
    def full(self) -> float | None:
        """The reward of a completion that is right; None where it depends on a function of the user's."""
        return None if self.own else self._right.reward

    @property
    def is_binary(self) -> bool:
        """Whether a reward is 1 for what is right and 0 for all else."""
        return self.terms == BINARY and not self.own

    def __call__(self, prompt: Prompt, text: str) -> Verdict:
        """Return the verdict on `text` as the answer to `prompt`."""
        found = self.mode.find(prompt, text)
        verdict = self._right if found.fault is None else self._wrong(found)
        return self._with_own(prompt, text, verdict) if self.own else verdict

    def _sum(self, found: Findings) -> float:
        return math.fsum(weight * function(found) for weight, function in self.terms)

    def _wrong(self, found: Findings) -> Verdict:
        fault = found.fault
        assert fault is not None
        reward = self._sum(found)
        return Verdict(reward, fault.reason, fault.path, fault.expected, fault.got, found.form, found.content)

    def _with_own(self, prompt: Prompt, text: str, verdict: Verdict) -> Verdict:
        """Add what the user's functions say; the first that fails makes it their failure, and a lone one tells its own reasons."""
        parts = [verdict.reward or 0.0]
        told = verdict
        for weight, function in self.own:
            said: Verdict | float | None = function(prompt, text)
            if isinstance(said, Verdict):
                told = replace(said, format_right=verdict.format_right, content_right=verdict.content_right)
                said = said.reward
            if said is None:
                return told
            parts.append(weight * said)
        lone = len(self.own) == 1 and not self.terms
        return replace(told if lone else verdict, reward=math.fsum(parts))
