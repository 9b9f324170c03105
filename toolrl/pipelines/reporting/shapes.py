"""Distributions over completions, for the page: reasons by version, lengths, staleness.

metrics.jsonl ─> shares of reasons      GroupIndex of each run ─> lengths, ages ─> histograms with the same bins
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil
from statistics import fmean
from typing import Any

from toolrl.pipelines.reporting.charts import thinned
from toolrl.pipelines.reporting.groups import GroupRow
from toolrl.pipelines.reporting.record import Record
from toolrl.types import Reason

FAMILY = "reward/reason/"
MOST_REASONS = 9
"""Reasons with a band of their own; the others are one."""
BINS = 40
QUARTER = 4


def reasons_json(record: Record) -> dict[str, Any] | None:
    """Return shares of completions by reason, `correct` first, then the most frequent; None where nothing was judged."""
    lines = [line for line in record.lines if any(name.startswith(FAMILY) for name in line)]
    if not lines:
        return None
    per, buckets = thinned(lines)
    totals = Counter[str]()
    for line in lines:
        totals.update({name.removeprefix(FAMILY): value or 0.0 for name, value in line.items() if name.startswith(FAMILY)})
    names = sorted(totals, key=lambda name: (name != Reason.CORRECT, -totals[name], name))
    shown, rest = names[:MOST_REASONS], names[MOST_REASONS:]

    def share(bucket: Sequence[dict[str, Any]], of: Sequence[str]) -> float:
        return round(fmean(sum(line.get(FAMILY + name) or 0.0 for name in of) for line in bucket), 4)

    groups = [*((name, [name]) for name in shown), *([("the others", rest)] if rest else [])]
    columns = [[share(bucket, of) for bucket in buckets] for _, of in groups]
    return {"x": [bucket[-1]["version"] for bucket in buckets], "per": per, "names": [name for name, _ in groups], "columns": columns}


def histograms(runs: Sequence[tuple[str, Sequence[GroupRow]]]) -> list[dict[str, Any]]:
    """Return the histograms of lengths and of ages, each run a series; of a single run its first and last quarter beside it."""
    series = [(name, rows) for name, rows in runs if rows]
    if len(series) == 1 and len(series[0][1]) >= 2 * QUARTER:
        rows = series[0][1]
        quarter = len(rows) // QUARTER
        series = [("first quarter of the run", rows[:quarter]), ("last quarter of the run", rows[-quarter:]), ("whole run", rows)]
    if not series:
        return []
    lengths = [(name, [n for row in rows for n in row.tokens]) for name, rows in series]
    ages = [(name, [age for row in rows for age in row.ages]) for name, rows in series]
    return [
        {"title": "Length of completions", "unit": "tokens", "about": "Completions by their length.", **_histogram(lengths)},
        {
            "title": "Staleness of completions",
            "unit": "versions",
            "about": "Completions by how many versions old their oldest weights were when they were trained.",
            **_histogram(ages),
        },
    ]


def _histogram(series: Sequence[tuple[str, Sequence[int]]]) -> dict[str, Any]:
    """Return whole-numbered bins of one width, from the smallest value on, and the share of each series in them."""
    low = min(min(values) for _, values in series)
    high = max(max(values) for _, values in series)
    width = max(1, ceil((high - low + 1) / BINS))
    count = (high - low) // width + 1
    found = []
    for name, values in series:
        counts = Counter((value - low) // width for value in values)
        found.append({"name": name, "completions": len(values), "shares": [round(counts[i] / len(values), 5) for i in range(count)]})
    return {"from": [low + i * width for i in range(count)], "width": width, "series": found}
