"""The pre-flight audit: does the verifier reward the reference, and nothing that only looks like an answer?

A reward bug looks like learning, so it is looked for before the run: every prompt's reference must score 1, and every
probe of `probes` 0. Where a mode's own rules reward a probe, that is said and is no problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from toolrl.errors import ScoringError
from toolrl.protocols import Verifier
from toolrl.reward.judge import judge
from toolrl.reward.probes import INSIDE_THINK, right_answers, wrong_answers
from toolrl.reward.verifier import PaperVerifier
from toolrl.types import Prompt, Verdict

KEPT = 5
"""Failing samples of a check that the report keeps."""
NEIGHBOURS = 8
"""Rows that follow a row, of which one lends it a reference that is not its own."""
REFERENCE: Final = "reference"

_ACCEPTED: Mapping[type, Mapping[str, str]] = {
    PaperVerifier: {INSIDE_THINK: "the paper's rules take the last block, wherever it stands"},
}
"""Probes that a mode rewards by its own rules, and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A completion whose reward is not the one it must have."""

    prompt_id: str
    completion: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of completion, tried on every prompt that it can be made for."""

    name: str
    expected: float
    """The reward that each must have."""
    tried: int
    failed: int
    samples: tuple[Sample, ...]
    """The first of the failures."""
    accepted: str = ""
    """Why a failure is no problem in this mode; empty where it is one."""


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

    def require_sound(self) -> None:
        """Raise ScoringError with every problem, if there is one."""
        if problems := self.problems():
            raise ScoringError("the audit of the reward failed, so nothing was trained:\n" + "\n".join(problems))


def audit(verifier: Verifier, prompts: Sequence[Prompt]) -> AuditReport:
    """Try every check on every prompt; a verifier that raises fails its check."""
    trials: dict[str, list[Sample | None]] = {REFERENCE: [_try_reference(verifier, prompt) for prompt in prompts]}
    for index, prompt in enumerate(prompts):
        others = [prompts[(index + step) % len(prompts)] for step in range(1, NEIGHBOURS + 1)]
        for name, completion in wrong_answers(prompt, others):
            verdict = judge(verifier, prompt, completion)
            trials.setdefault(name, []).append(None if verdict.reward == 0.0 else Sample(prompt.id, completion, verdict))
    accepted = _ACCEPTED.get(type(verifier), {})
    return AuditReport(len(prompts), tuple(_checks(trials, accepted)))


def _try_reference(verifier: Verifier, prompt: Prompt) -> Sample | None:
    """Return the reference of `prompt` as a failure, unless it scores 1 in one of its forms."""
    failures = []
    for completion in right_answers(prompt):
        verdict = judge(verifier, prompt, completion)
        if verdict.reward == 1.0:
            return None
        failures.append(Sample(prompt.id, completion, verdict))
    return failures[0]


def _checks(trials: Mapping[str, Sequence[Sample | None]], accepted: Mapping[str, str]) -> Iterator[Check]:
    for name, results in trials.items():
        failures = [sample for sample in results if sample is not None]
        expected = 1.0 if name == REFERENCE else 0.0
        yield Check(name, expected, len(results), len(failures), tuple(failures[:KEPT]), accepted.get(name, ""))


def _told(check: Check, because: str) -> str:
    sample = check.samples[0]
    verdict = sample.verdict
    where = f" at {verdict.path}" if verdict.path else ""
    wanted = f", expected {verdict.expected}" if verdict.expected else ""
    got = f", got {verdict.got}" if verdict.got else ""
    return (
        f"{check.name}: {check.failed} of {check.tried} did not score {check.expected:g}; "
        f"as prompt {sample.prompt_id}: reward {verdict.reward}, {verdict.reason}{where}{wanted}{got}; {because}"
    )


def _advice(check: Check) -> str:
    if check.name == REFERENCE:
        return "drop or mend these rows (`toolrl prepare`), or choose another reward.mode: no answer to them can be right"
    return "the verifier rewards a wrong answer: mend it before training on it"
