"""What the curves of the page show: which metrics, in which chart, and their numbers.

    metrics.jsonl ─> at most MOST_POINTS buckets of versions ─> {x, metrics: {name: y}} of each run; CHARTS says which belong together

Of a bucket a metric is its mean, one that is a maximum its largest value; the page says how many versions a point stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from statistics import fmean
from typing import Any, TypeVar

from toolrl.monitor.lines import Line
from toolrl.monitor.metrics import describe
from toolrl.pipelines.reporting.record import Record

Item = TypeVar("Item")
MOST_POINTS = 1000
"""Points of a curve: more than a screen has columns for."""
DIGITS = 5
STAGES = (
    ("wait_generation", "waiting for completions"),
    ("learner", "training"),
    ("push", "pushing weights"),
    ("eval", "evaluation"),
    ("checkpoint", "checkpoint"),
)
"""Parts of a step by metric `loop/*_s`; what is left is `other`."""
PARTS = ("learner/", "weights/")
"""Families with parts of stages, in seconds."""


@dataclass(frozen=True)
class Curve:
    """One metric in a chart."""

    metric: str
    label: str
    points: bool = False
    """Measured now and then, so that each is marked."""


@dataclass(frozen=True)
class Chart:
    """Metrics that are looked at together."""

    title: str
    about: str
    curves: tuple[Curve, ...]
    share: bool = False
    """From 0 to 1."""
    log: bool = False


CHARTS = (
    Chart(
        "Reward",
        "Mean reward of the training batch, and of the held-out prompts: sampled, and greedy.",
        (
            Curve("reward/mean", "training"),
            Curve("heldout/reward", "held out, sampled", True),
            Curve("heldout/greedy", "held out, greedy", True),
        ),
        share=True,
    ),
    Chart(
        "Form",
        "Completions of the right form, whatever their calls.",
        (Curve("reward/format_right", "training"), Curve("heldout/greedy_format_right", "held out, greedy", True)),
        share=True,
    ),
    Chart(
        "Content",
        "Completions whose calls are right under a lenient parse, whatever their form.",
        (
            Curve("reward/content_right", "training"),
            Curve("reward/bfcl_right", "training, by BFCL's checker"),
            Curve("heldout/greedy_content_right", "held out, greedy", True),
        ),
        share=True,
    ),
    Chart(
        "Loss",
        "The learner's loss; of supervised training in nats a token, with that of the held-out demonstrations.",
        (Curve("learner/loss", "training"), Curve("heldout/loss", "held out", True)),
    ),
    Chart("KL to the start checkpoint", "Mean over trained tokens, in nats.", (Curve("learner/kl", "KL"),)),
    Chart("Entropy", "Of the policy, mean over trained tokens, in nats.", (Curve("learner/entropy", "entropy"),)),
    Chart("Gradient norm", "Before clipping.", (Curve("learner/grad_norm", "gradient norm"),)),
    Chart("Learning rate", "Of the last optimizer step.", (Curve("learner/lr", "learning rate"),)),
    Chart(
        "Tokens per second",
        "Completion tokens trained per second of wall time, and sampled per second in which an engine was busy.",
        (Curve("loop/tokens_per_s", "trained"), Curve("engine/tokens_per_s", "sampled")),
    ),
    Chart(
        "Length of completions",
        "In tokens.",
        (Curve("rollout/completion_tokens_mean", "mean"), Curve("rollout/completion_tokens_max", "longest")),
    ),
    Chart(
        "Cut short, and dull",
        "Completions that reached the longest length allowed; groups whose rewards all agree, which teach nothing.",
        (Curve("rollout/truncated_share", "cut short"), Curve("loop/dull_share", "dull groups")),
        share=True,
    ),
    Chart(
        "Staleness",
        "Versions between the weights that sampled and those that were trained.",
        (Curve("loop/staleness_mean", "mean"), Curve("loop/staleness_max", "largest")),
    ),
    Chart(
        "Engine against learner",
        "Difference of log-probabilities after a push, and mean difference on the sampled tokens; in nats, on a logarithmic scale.",
        (
            Curve("weights/parity_max_abs_dlogp", "after the push, largest"),
            Curve("weights/parity_mean_abs_dlogp", "after the push, mean"),
            Curve("learner/mismatch_mean_abs_dlogp", "sampled tokens, mean"),
        ),
        log=True,
    ),
)


def metrics_of(record: Record) -> dict[str, Any]:
    """Return every metric of a run that was measured: {x: versions, per: versions to a point, metrics: {name: [value or null]}}."""
    per, buckets = thinned(record.lines)
    names = dict.fromkeys(name for line in record.lines for name in line if name not in ("version", "time"))
    values = {name: [_point(bucket, name) for bucket in buckets] for name in names}
    found = {name: points for name, points in values.items() if any(point is not None for point in points)}
    return {"x": [bucket[-1]["version"] for bucket in buckets], "per": per, "metrics": found}


def thinned(items: Sequence[Item]) -> tuple[int, list[Sequence[Item]]]:
    """Return how many versions a point of a curve stands for, and those of each point."""
    per = max(1, ceil(len(items) / MOST_POINTS))
    return per, [items[start : start + per] for start in range(0, len(items), per)]


def catalogue(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the charts that have something to show, each as the page reads it."""
    measured = {name for record in records for line in record.lines for name, value in line.items() if value is not None}
    kept = ((chart, tuple(curve for curve in chart.curves if curve.metric in measured)) for chart in CHARTS)
    return [{**asdict(chart), "curves": [asdict(curve) for curve in curves]} for chart, curves in kept if curves]


def told(name: str) -> tuple[str, str]:
    """Return unit and help of a metric, empty where it is in no table."""
    metric = describe(name)
    return ("", "") if metric is None else (metric.unit, metric.help)


def stages_of(record: Record) -> list[list[float]]:
    """Return for each trained version its seconds by stage, `other` last: together the wall time since the version before."""
    found = []
    for line in record.lines:
        if line["version"] > 0:
            parts = [line.get(f"loop/{stage}_s") or 0.0 for stage, _ in STAGES]
            whole = (line.get("loop/step_s") or 0.0) + (line.get("loop/eval_s") or 0.0)
            found.append([*parts, max(0.0, whole - sum(parts))])
    return found


def budget_of(record: Record) -> list[dict[str, Any]]:
    """Return the stages of a step, then the parts of stages, each with its mean seconds and its share of the wall time."""
    steps = stages_of(record)
    if not steps:
        return []
    whole = sum(map(sum, steps)) or 1.0
    names = [*(label for _, label in STAGES), "other"]
    sums = [sum(column) for column in zip(*steps, strict=True)]
    rows = [
        {"name": name, "part": False, "seconds": total / len(steps), "share": total / whole}
        for name, total in zip(names, sums, strict=True)
    ]
    trained = [line for line in record.lines if line["version"] > 0]
    parts = sorted(
        {name for line in trained for name in line if name.startswith(PARTS) and name.endswith("_s")} - {"learner/step_s", "weights/push_s"}
    )
    for name in parts:
        total = sum(line.get(name) or 0.0 for line in trained)
        rows.append({"name": name, "part": True, "seconds": total / len(steps), "share": total / whole})
    return rows


def stages_json(record: Record) -> dict[str, Any]:
    """Return the seconds by stage as curves of the page."""
    versions = [line["version"] for line in record.lines if line["version"] > 0]
    per, buckets = thinned(list(zip(versions, stages_of(record), strict=True)))
    columns = [[_rounded(fmean(stages[i] for _, stages in bucket)) for bucket in buckets] for i in range(len(STAGES) + 1)]
    names = [*(label for _, label in STAGES), "other"]
    kept = [(name, column) for name, column in zip(names, columns, strict=True) if any(column)]
    return {
        "x": [bucket[-1][0] for bucket in buckets],
        "per": per,
        "names": [name for name, _ in kept],
        "columns": [column for _, column in kept],
    }


def _point(bucket: Sequence[Line], name: str) -> float | None:
    values = [value for line in bucket if (value := line.get(name)) is not None]
    if not values:
        return None
    return _rounded(max(values) if "_max" in name else fmean(values))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
