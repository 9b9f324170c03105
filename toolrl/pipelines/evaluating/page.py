"""What `toolrl evaluate` tells a person: the averages with their intervals, what each of them is, and where to look next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolrl.evaluation.averages import Estimate
from toolrl.evaluation.benchmark import Benchmark, Official, Outcome
from toolrl.evaluation.compare import Comparison
from toolrl.pipelines.evaluating.scores import FORM, OFFICIAL, OURS, Scores
from toolrl.pipelines.evaluating.stored import SCORES
from toolrl.pipelines.review.page import columns, page, table, try_one, wrap
from toolrl.types import Reason

MOST_REASONS = 6
MOST_KNOWN = 12
LEVEL = "in brackets: 95 % bootstrap intervals, items drawn anew within each category"


def text(
    benchmark: Benchmark, model: str, outcomes: Sequence[Outcome], scores: Scores, official: Official, folder: Path, width: int
) -> str:
    """Return the page, `width` columns wide."""
    head = [f"{benchmark.title} · {model} · {len(outcomes):,} items"]
    sections = (
        head,
        [*_averages(scores), LEVEL],
        _formulas(scores, width),
        _agreement(scores, official, width),
        _known(benchmark, outcomes, width),
        _reasons(scores),
    )
    return f"{whole(sections, width)}\n\n{_next(outcomes, folder)}"


def whole(sections: Iterable[Iterable[str]], width: int) -> str:
    """Return a page whose tables are never cut: a terminal that is too narrow wraps them, and no number is lost."""
    listed = [list(section) for section in sections]
    return page(listed, max(width, *(columns(line) for lines in listed for line in lines)))


def percent(estimate: Estimate | Mapping[str, Any]) -> str:
    """Return a number as people read it: percent, and its interval.

    >>> percent({"value": 0.8482, "low": 0.83, "high": 0.866})
    '84.82 (83.00–86.60)'
    """
    value, low, high = (estimate[k] if isinstance(estimate, Mapping) else getattr(estimate, k) for k in ("value", "low", "high"))
    return "not run" if value is None else f"{100 * value:.2f} ({100 * low:.2f}–{100 * high:.2f})"


def compared(rows: Sequence[tuple[str, Comparison]], names: tuple[str, str], width: int) -> str:
    """Return two models side by side; `rows` are (category, comparison), `names` say where each was evaluated."""
    head = ["", "items", "first", "second", "second − first", "only first", "only second", "p (McNemar)"]
    lines = [[what, f"{c.items:,}", *map(_points, (c.a, c.b)), _gap(c), str(c.only_a), str(c.only_b), f"{c.p:.3g}"] for what, c in rows]
    told = "right answers in percent, on the items both answered; in brackets the 95 % paired bootstrap interval"
    opening = ["compared item by item", f"  first   {names[0]}", f"  second  {names[1]}"]
    return whole([opening, [*table([head, *lines], right=range(1, 8)), *wrap(told, width)]], width)


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _gap(found: Comparison) -> str:
    return f"{100 * found.difference:+.2f} ({100 * found.low:+.2f} to {100 * found.high:+.2f})"


def _averages(scores: Scores) -> list[str]:
    by_name = {measure: {each.name: each for each in found} for measure, found in scores.by_measure.items()}
    rows = [["", *scores.by_measure, "items"]]
    for name, first in _shown(scores).items():
        cells = [_cell(measure, found.get(name)) for measure, found in by_name.items()]
        items = max(found[name].items for found in by_name.values() if name in found)
        rows.append([name, *cells, f"{items:,}" + ("*" if first.missing else "")])
    return table(rows, right=range(1, len(rows[0])))


def _shown(scores: Scores) -> dict[str, Estimate]:
    """Return the averages that have a value by any measure, by name, as the first of those measures has it: it knows most categories."""
    shown: dict[str, Estimate] = {}
    for each in (each for found in scores.by_measure.values() for each in found if each.value is not None):
        shown.setdefault(each.name, each)
    return shown


def _cell(measure: str, estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return ""
    return _points(estimate.value) if measure == FORM else percent(estimate)


def _formulas(scores: Scores, width: int) -> list[str]:
    """Say what each average is that is more than one category; and which have no value, since a part of them was not run."""
    shown, lines = _shown(scores), []
    for each in shown.values():
        if each.formula != f"right ÷ items of {each.name}":
            lines += wrap(f"{each.name} = {each.formula}", width, "  ")
        if each.missing:
            lines += wrap(f"* {each.name}: not run: {', '.join(each.missing)}", width, "  ")
    without = dict.fromkeys(each.name for found in scores.by_measure.values() for each in found if each.name not in shown)
    if without:
        lines += wrap(f"no value, since a category of theirs was not run: {'; '.join(without)}", width, "  ")
    return lines


def _agreement(scores: Scores, official: Official, width: int) -> list[str]:
    lines = wrap(f"official rules: not run. {official.not_run}", width, "  ") if official.not_run else []
    lines += wrap(f"official rules: {official.note}", width, "  ") if official.note else []
    if scores.agreement is not None:
        found = scores.agreement
        lines.append(f"{OURS} and {OFFICIAL} agree on {found.agree:,} of {found.items:,} items")
        lines += [f"  {line}" for line in found.differing]
    return lines


def _known(benchmark: Benchmark, outcomes: Sequence[Outcome], width: int) -> list[str]:
    asked = {outcome.item.id for outcome in outcomes}
    there = [known for known in benchmark.known if known.id in asked]
    if not there:
        return []
    lines = [part for known in there[:MOST_KNOWN] for part in wrap(f"  {known.id}: {known.why}", width, "    ")]
    more = [f"  … and {len(there) - MOST_KNOWN} more, listed in {SCORES}"] if len(there) > MOST_KNOWN else []
    return [f"{len(there)} items that are not what they seem:", *lines, *more]


def _reasons(scores: Scores) -> list[str]:
    wrong = {reason: count for reason, count in scores.reasons.items() if reason != Reason.CORRECT}
    if not wrong:
        return []
    return ["what was wrong, by our rules:", *(f"  {count:>5,}  {reason}" for reason, count in list(wrong.items())[:MOST_REASONS])]


def _next(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Say where everything is: paths and commands to copy, so they are never cut."""
    wrong = next((i for i, outcome in enumerate(outcomes) if outcome.ours.reason is not Reason.CORRECT), 0)
    return f"every item: {folder / 'rollouts' / 'version-000000.parquet'}\n{try_one(folder, f'{wrong}.0')}"
