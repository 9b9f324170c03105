"""Outcomes -> what is reported: for each measure every average with its interval, and how far ours agrees with the official rules.

measure     an item is right where
official    upstream's own rules say so
ours        our verdict is `correct`
calls       its calls are right under a lenient reading, whatever the form      (of our own prompts only: benchmarks ask no form)
form        it has the strict form
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from toolrl.evaluation.averages import Average, Counts, Estimate, estimates
from toolrl.evaluation.benchmark import Outcome
from toolrl.types import Reason

OFFICIAL, OURS, CALLS, FORM = "official", "ours", "calls", "form"
MEASURES = (OFFICIAL, OURS, CALLS, FORM)
DISAGREEMENTS = 20
"""Items shown on which ours and the official rules differ."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Our verdicts beside the official ones, over the items that have both."""

    items: int
    agree: int
    differing: tuple[str, ...]
    """Ids of the first items that do not, with what each side says."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Everything that is reported of one model on one benchmark."""

    by_measure: Mapping[str, tuple[Estimate, ...]]
    agreement: Agreement | None
    """None: nothing was judged officially."""
    reasons: Mapping[str, int]
    """Our verdicts by reason, the most frequent first."""


def rights(outcomes: Iterable[Outcome], measure: str) -> dict[str, bool]:
    """Return item id -> whether it is right by a measure, without those that the measure does not judge."""
    found: dict[str, bool] = {}
    for outcome in outcomes:
        right = right_by(measure, outcome)
        if right is not None:
            found[outcome.item.id] = right
    return found


def right_by(measure: str, outcome: Outcome) -> bool | None:
    """Return whether an outcome is right by a measure; None where the measure does not judge it."""
    ours = outcome.ours
    if measure == OFFICIAL:
        return outcome.official
    if ours.reason.is_failure:
        return None
    return {OURS: ours.reason is Reason.CORRECT, CALLS: ours.content_right, FORM: ours.format_right}[measure]


def stored_rights(measure: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Return the same of the rows that an evaluation wrote."""
    found: dict[str, bool] = {}
    for row in rows:
        right = {OFFICIAL: row["official"], OURS: row["reason"] == Reason.CORRECT, CALLS: row["content_right"], FORM: row["format_right"]}
        judged = row["official"] is not None if measure == OFFICIAL else not Reason(row["reason"]).is_failure
        if judged:
            found[row["prompt_id"]] = bool(right[measure])
    return found


def score(
    averages: Sequence[Average], outcomes: Sequence[Outcome], measures: Sequence[str] = MEASURES, more: Counts = MappingProxyType({})
) -> Scores:
    """Return what is reported of `outcomes`; `more` are categories that were judged officially alone."""
    counts = {measure: _counts(outcomes, measure) for measure in measures}
    if more:
        counts[OFFICIAL] = {**counts[OFFICIAL], **more}
    by_measure = {measure: estimates(averages, counts[measure]) for measure in measures}
    reasons = dict(Counter(str(outcome.ours.reason) for outcome in outcomes).most_common())
    return Scores({measure: found for measure, found in by_measure.items() if found}, _agreement(outcomes), reasons)


def as_json(scores: Scores) -> dict[str, Any]:
    """Return scores as JSON: a list of estimates, each with its measure."""
    rows = [{"measure": measure, **asdict(each)} for measure, found in scores.by_measure.items() for each in found]
    return {"estimates": rows, "agreement": asdict(scores.agreement) if scores.agreement else None, "reasons": dict(scores.reasons)}


def _counts(outcomes: Iterable[Outcome], measure: str) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for outcome in outcomes:
        if (right := right_by(measure, outcome)) is not None:
            before, items = counts.get(outcome.item.category, (0, 0))
            counts[outcome.item.category] = (before + right, items + 1)
    return counts


def _agreement(outcomes: Sequence[Outcome]) -> Agreement | None:
    both = [outcome for outcome in outcomes if outcome.official is not None and right_by(OURS, outcome) is not None]
    differing = [_differing(outcome) for outcome in both if outcome.official != right_by(OURS, outcome)]
    return Agreement(len(both), len(both) - len(differing), tuple(differing[:DISAGREEMENTS])) if both else None


def _differing(outcome: Outcome) -> str:
    ours = _said(outcome.ours.reason is Reason.CORRECT)
    return f"{outcome.item.id}: ours {ours} ({outcome.ours.reason}), official {_said(bool(outcome.official))}"


def _said(right: bool) -> str:
    return "right" if right else "wrong"
