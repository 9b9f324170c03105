"""`toolrl rescore`: every stored completion of a run judged again by another reward, and what that would have changed.

    rollouts/ ─ a version at a time ─> text ─ verifier ─> verdict beside the stored one ─> Rescored: counts by reasons, means by version
                                                                                     └─> the samples whose reward changed, as they come

Works on a run in progress, of which it reads the complete files. The run folder is not changed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.pipelines.review.stored import StoredRun
from toolrl.protocols import Verifier
from toolrl.reward.judge import judge
from toolrl.reward.verifier import users_deadline
from toolrl.types import Reason, Verdict

FAILED = frozenset(reason.value for reason in Reason if reason.is_failure)
COLUMNS = ("draw", "sample", "prompt_id", "reward", "reason", "text")


@dataclass(frozen=True, slots=True)
class Changed:
    """A sample whose reward is not the stored one."""

    sample: str
    """DRAW.SAMPLE, as `toolrl explain` takes it."""
    version: int
    prompt_id: str
    reward_before: float | None
    reward_after: float | None
    reason_before: str
    reason_after: str
    path: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Rewards:
    """The rewards of some completions under one verifier."""

    total: float
    number: int
    """Completions that have one: not those whose verifier failed."""
    teaching: int
    """Groups with an advantage: not all of their rewards agree."""

    @property
    def mean(self) -> float | None:
        """Their mean, None where there is none."""
        return self.total / self.number if self.number else None


@dataclass(frozen=True, slots=True)
class Span:
    """The completions that made the versions `first` to `last`, before and after."""

    first: int
    last: int
    completions: int
    groups: int
    before: Rewards
    after: Rewards


@dataclass(frozen=True, slots=True)
class Rescored:
    """What another reward says of a run."""

    versions: tuple[Span, ...]
    """One for each version that has completions with text."""
    reasons: Mapping[tuple[str, str], int]
    """(stored reason, new reason) -> completions."""
    changed: int
    without_text: int
    """Completions of which the run kept no text."""
    seconds: float

    @property
    def scored(self) -> int:
        """Completions judged again."""
        return sum(self.reasons.values())

    def confusion(self) -> dict[tuple[str, str], int]:
        """Return (before, after) -> completions, each of the two `right`, `wrong` or `failed`."""
        counts: Counter[tuple[str, str]] = Counter()
        for (before, after), number in self.reasons.items():
            counts[_side(before), _side(after)] += number
        return dict(counts)


class _Sums:
    """Adds up the rewards of one version."""

    def __init__(self) -> None:
        self.completions = 0
        self._rewards: tuple[list[float], list[float]] = ([], [])
        self._groups: dict[int, tuple[set[float], set[float]]] = {}

    def add(self, draw: int, before: float | None, after: float | None) -> None:
        self.completions += 1
        group = self._groups.setdefault(draw, (set(), set()))
        for reward, rewards, seen in zip((before, after), self._rewards, group, strict=True):
            if reward is not None:
                rewards.append(reward)
                seen.add(reward)

    def span(self, version: int) -> Span:
        before, after = (
            Rewards(fsum(rewards), len(rewards), sum(len(group[side]) > 1 for group in self._groups.values()))
            for side, rewards in enumerate(self._rewards)
        )
        return Span(version, version, self.completions, len(self._groups), before, after)


def rejudge(run: StoredRun, verifier: Verifier, on_change: Callable[[Changed], None], deadline_s: float | None = None) -> Rescored:
    """Judge every stored completion of `run` by `verifier`; each one whose reward changed goes to `on_change`, in order.

    A verdict that takes a user's reward longer than `deadline_s` is a failure of the verifier.
    Raises RunFolderError where a file is damaged, or none holds a text.
    """
    start = time.perf_counter()
    deadline_s = users_deadline(verifier, deadline_s)
    reasons: Counter[tuple[str, str]] = Counter()
    versions: list[Span] = []
    changed = without_text = 0
    for version, table in rollouts.stream(run.rollouts, COLUMNS):
        sums = _Sums()
        for draw, sample, prompt_id, reward, reason, text in zip(*(table.column(name).to_pylist() for name in COLUMNS), strict=True):
            if text is None:
                without_text += 1
                continue
            verdict = judge(verifier, run.prompt(prompt_id), text, deadline_s)
            reasons[reason, verdict.reason.value] += 1
            sums.add(draw, reward, verdict.reward)
            if verdict.reward != reward:
                changed += 1
                on_change(_changed(f"{draw}.{sample}", version, prompt_id, reward, reason, verdict))
        if sums.completions:
            versions.append(sums.span(version))
    if not versions:
        raise RunFolderError(
            f"{run.rollouts}: none of its {without_text:,} completions was kept with its text, so there is nothing to judge again; "
            "`monitor.rollouts: share` keeps one group in eight, `all` and `no_tokens` each"
        )
    return Rescored(tuple(versions), reasons, changed, without_text, time.perf_counter() - start)


def report(result: Rescored, first: Sequence[Changed]) -> dict[str, Any]:
    """Return a result as JSON; `first` are the first of the changed samples."""
    return {
        "scored": result.scored,
        "without_text": result.without_text,
        "seconds": result.seconds,
        "completions_per_s": result.scored / result.seconds,
        "confusion": [{"before": b, "after": a, "completions": n} for (b, a), n in sorted(result.confusion().items())],
        "reasons": [{"before": b, "after": a, "completions": n} for (b, a), n in by_count(result.reasons)],
        "versions": [_as_json(span) for span in result.versions],
        "overall": _as_json(together(result.versions)),
        "changed": result.changed,
        "first_changed": [asdict(sample) for sample in first],
    }


def by_count(reasons: Mapping[tuple[str, str], int]) -> list[tuple[tuple[str, str], int]]:
    """Return the pairs of reasons, the most frequent first."""
    return sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))


def together(spans: Sequence[Span]) -> Span:
    """Return the spans of consecutive versions, at least one, as one."""
    before, after = (
        Rewards(fsum(r.total for r in side), sum(r.number for r in side), sum(r.teaching for r in side))
        for side in ([span.before for span in spans], [span.after for span in spans])
    )
    completions, groups = sum(span.completions for span in spans), sum(span.groups for span in spans)
    return Span(spans[0].first, spans[-1].last, completions, groups, before, after)


def _changed(sample: str, version: int, prompt_id: str, reward: float | None, reason: str, verdict: Verdict) -> Changed:
    return Changed(
        sample, version, prompt_id, reward, verdict.reward, reason, str(verdict.reason), verdict.path, verdict.expected, verdict.got
    )


def _side(reason: str) -> str:
    if reason == Reason.CORRECT:
        return "right"
    return "failed" if reason in FAILED else "wrong"


def _as_json(span: Span) -> dict[str, Any]:
    sides = {"before": span.before, "after": span.after}
    rewards = {f"reward_{side}": rewards.mean for side, rewards in sides.items()}
    teaching = {f"teaching_{side}": rewards.teaching for side, rewards in sides.items()}
    return {"first": span.first, "last": span.last, "completions": span.completions, "groups": span.groups, **rewards, **teaching}
