"""The pre-flight audit: does the reward tell the reference from all that only looks like an answer?

A reward bug looks like learning, so it is looked for before the run. Every prompt's reference must score full marks, and every
probe of `probes` less; where the reward is 0 or 1, exactly 0. What a mode rewards by its own rules is said and is no problem.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from toolrl.errors import ConfigError, DataError
from toolrl.protocols import Verifier
from toolrl.reward.judge import judge
from toolrl.reward.modes import PaperMode
from toolrl.reward.probes import INSIDE_THINK, right_answers, wrong_answers
from toolrl.reward.verifier import RewardVerifier, users_deadline
from toolrl.types import Prompt, Reason, Verdict

KEPT = 5
"""Failing samples of a check that the report keeps."""
NEIGHBOURS = 8
"""Rows that follow a row, of which one lends it a reference that is not its own."""
REFERENCE: Final = "reference"

_ACCEPTED: Mapping[type, Mapping[str, str]] = {
    PaperMode: {INSIDE_THINK: "the paper's rules take the last block, wherever it stands"},
}
"""Probes that a mode rewards by its own rules, and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A completion and its verdict."""

    prompt_id: str
    completion: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of completion, tried on every prompt that it can be made for."""

    name: str
    expected: str
    """What each must score, in words."""
    tried: int
    failed: int
    lowest: float | None
    """The least reward among them; None where none has one."""
    highest: float | None
    samples: tuple[Sample, ...]
    """The first of those that scored otherwise."""
    accepted: str = ""
    """Why a failure is no problem in this mode; empty where it is one."""

    @property
    def outcome(self) -> str:
        """Return `ok`, `by its rules` (it failed, and that is no problem), or `FAILED`."""
        return "ok" if not self.failed else "by its rules" if self.accepted else "FAILED"

    @property
    def blames_reward(self) -> bool:
        """Whether it failed because of the reward: a probe was rewarded, or the verifier itself failed."""
        at_fault = self.name != REFERENCE or any(sample.verdict.reward is None for sample in self.samples)
        return bool(self.failed) and not self.accepted and at_fault


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audit tried and what went wrong."""

    rows: int
    checks: tuple[Check, ...]

    def problems(self) -> tuple[str, ...]:
        """Return one line for each check that failed: what, how often, an example, and what to do."""
        return tuple(_told(check, _advice(check)) for check in self.checks if check.failed and not check.accepted)

    def notes(self) -> tuple[str, ...]:
        """Return one line for each check that failed by the mode's own rules."""
        return tuple(_told(check, check.accepted) for check in self.checks if check.failed and check.accepted)

    def table(self) -> str:
        """Return the checks as a table for people: what each must score, on how many rows, and what came of it."""
        head = ("completion", "must score", "rows", "failed", "rewards", "")
        rows = [(c.name, c.expected, str(c.tried), str(c.failed), _range(c), c.outcome) for c in self.checks]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = ("  ".join(_cell(i, text, widths[i]) for i, text in enumerate(row)).rstrip() for row in (head, *rows))
        return "\n".join(lines)

    def require_sound(self) -> None:
        """Raise ConfigError where the reward is to blame, DataError where only references are wrong; with every problem."""
        if problems := self.problems():
            error = ConfigError if any(check.blames_reward for check in self.checks) else DataError
            raise error("\n".join(("the audit of the reward failed:", *problems)))


def audit(verifier: Verifier, prompts: Sequence[Prompt], deadline_s: float | None = None) -> AuditReport:
    """Try every check on every prompt; a verifier that raises fails its check.

    Raises ConfigError at the first verdict that takes a user's reward longer than `deadline_s`.
    """
    deadline_s = users_deadline(verifier, deadline_s)
    full = verifier.full if isinstance(verifier, RewardVerifier) else 1.0
    exact = verifier.is_binary if isinstance(verifier, RewardVerifier) else True
    references = _Trials("full marks" if full is None else f"{full:g}")
    probes: dict[str, _Trials] = {}
    for index, prompt in enumerate(prompts):
        mark = references.add_best(prompt, verifier, full, deadline_s)
        others = [prompts[(index + step) % len(prompts)] for step in range(1, NEIGHBOURS + 1)]
        for name, completion in wrong_answers(prompt, others):
            sample = _tried(verifier, prompt, completion, deadline_s)
            reward = sample.verdict.reward
            right = reward is not None and (reward == 0.0 if exact else reward < mark)
            probes.setdefault(name, _Trials("0" if exact else "less")).add(sample, right=right)
    accepted = _ACCEPTED.get(type(verifier.mode), {}) if isinstance(verifier, RewardVerifier) else {}
    checks = [references.check(REFERENCE), *(trials.check(name, accepted.get(name, "")) for name, trials in probes.items())]
    return AuditReport(len(prompts), tuple(checks))


class _Trials:
    """Gathers what one check scored, row by row."""

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._rewards: list[float] = []
        self._samples: list[Sample] = []
        self._tried = self._failed = 0

    def add(self, sample: Sample, *, right: bool) -> None:
        """Count one completion."""
        self._tried += 1
        if sample.verdict.reward is not None:
            self._rewards.append(sample.verdict.reward)
        if not right:
            self._failed += 1
            self._samples = [*self._samples, sample][:KEPT]

    def add_best(self, prompt: Prompt, verifier: Verifier, full: float | None, deadline_s: float | None) -> float:
        """Count the reference of `prompt` in the form that scores most; return what its probes must stay below."""
        samples = [_tried(verifier, prompt, completion, deadline_s) for completion in right_answers(prompt)]
        best = max(samples, key=lambda sample: float("-inf") if sample.verdict.reward is None else sample.verdict.reward)
        reward = best.verdict.reward
        self.add(best, right=reward is not None and full in (None, reward))
        return full if full is not None else reward if reward is not None else math.inf  # a failure is told once, not of each probe

    def check(self, name: str, accepted: str = "") -> Check:
        """Return the check."""
        lowest, highest = min(self._rewards, default=None), max(self._rewards, default=None)
        return Check(name, self._expected, self._tried, self._failed, lowest, highest, tuple(self._samples), accepted)


def _tried(verifier: Verifier, prompt: Prompt, completion: str, deadline_s: float | None) -> Sample:
    """Return a completion with its verdict. Raises ConfigError where that is late: hundreds more would follow."""
    verdict = judge(verifier, prompt, completion, deadline_s)
    if verdict.reason is Reason.VERIFIER_TIMEOUT:
        raise ConfigError(
            f"reward.functions: audit stopped at prompt {prompt.id}: {verdict.got}; make the function faster, or raise reward.deadline_s"
        )
    return Sample(prompt.id, completion, verdict)


def _cell(column: int, text: str, width: int) -> str:
    return text.rjust(width) if column in (2, 3) else text.ljust(width)


def _range(check: Check) -> str:
    if check.lowest is None or check.highest is None:
        return "none"
    return f"{check.lowest:g}" if check.lowest == check.highest else f"{check.lowest:g} to {check.highest:g}"


def _told(check: Check, because: str) -> str:
    sample = check.samples[0]
    verdict = sample.verdict
    where = f" at {verdict.path}" if verdict.path else ""
    wanted = f", expected {verdict.expected}" if verdict.expected else ""
    got = f", got {verdict.got}" if verdict.got else ""
    must = "less than the reference" if check.expected == "less" else check.expected
    return (
        f"{check.name}: {check.failed} of {check.tried} did not score {must}; "
        f"as prompt {sample.prompt_id}: reward {verdict.reward}, {verdict.reason}{where}{wanted}{got}; {because}"
    )


def _advice(check: Check) -> str:
    if check.samples[0].verdict.reward is None:
        return "the verifier itself failed: mend the function that reward.functions names"
    if check.name == REFERENCE:
        return "drop or mend these rows (`toolrl prepare`), or choose another reward.mode: no answer to them can be right"
    return "it rewards a wrong answer: change reward.mode or reward.functions, since what is trained on it is learned"
