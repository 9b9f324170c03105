"""What the metrics are called where Prometheus reads them: the table of metrics -> names, labels and values.

    loop/step_s                toolrl_loop_step_seconds
    loop/tokens_per_s          toolrl_loop_tokens_per_second
    reward/reason/wrong_name   toolrl_reward_reason_ratio{reason="wrong_name"}
    engine/sampled_tokens      toolrl_engine_sampled_tokens_total

Ray puts `ray_` before each name. Every series has the label `run`. A name is made from the table alone, so it stays as long as the line
there does; the unit is part of it, and a family is one name whose members are told apart by a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toolrl.monitor.metrics import LIVE, METRICS, Kind, Metric, describe

PREFIX = "toolrl_"
RAY = "ray_"
"""What Ray adds."""
RUN = "run"
"""Label of every series: the name of the run folder."""
_SUFFIX = {
    "s": "seconds", "share": "ratio", "tokens/s": "tokens_per_second", "completions/s": "completions_per_second",
    "accelerator_s": "accelerator_seconds", "FLOP": "flops", "FLOP/s": "flops_per_second",
}  # fmt: skip
"""Suffix by unit, where it is not the unit itself."""
_SPELLED = {
    "s": "s", "share": "share", "tokens/s": "tokens_per_s", "completions/s": "completions_per_s",
    "accelerator_s": "accelerator_s", "FLOP/s": "flops_per_s",
}  # fmt: skip
"""How a name of ours says such a unit."""
_NO_SUFFIX = frozenset({"reward", "norm", "rate", "number"})
"""Units that say no more than the name."""


@dataclass(frozen=True, slots=True)
class Series:
    """One value of a version, as it is exported."""

    metric: Metric
    labels: Mapping[str, str]
    value: float


def exported_name(metric: Metric) -> str:
    """Return the name that a metric has for `ray.util.metrics`, without what Ray adds.

    Prometheus' own rules: lower case, words with underscores, base unit last; `_total` after what only grows.
    """
    name, label = metric.name.removesuffix("/*"), labels_of(metric)[-1]
    if name != metric.name and not name.endswith(f"/{label}"):
        name += f"/{label}"
    words = name.replace("/", "_")
    if metric.unit in _NO_SUFFIX:
        return PREFIX + words
    spelled, suffix = _SPELLED.get(metric.unit), _SUFFIX.get(metric.unit, metric.unit)
    words = f"_{words}_".replace(f"_{spelled}_", "_").strip("_")
    return PREFIX + (words if suffix in words.split("_") else f"{words}_{suffix}")


def scraped_names(metric: Metric) -> tuple[str, ...]:
    """Return the names under which Prometheus sees a metric."""
    name = RAY + exported_name(metric)
    if metric.kind is Kind.COUNTER:
        return (f"{name}_total",)
    if metric.kind is Kind.HISTOGRAM:
        return (f"{name}_bucket", f"{name}_count", f"{name}_sum")
    return (name,)


def description(metric: Metric) -> str:
    """Return the help of a metric in the letters that Ray takes."""
    return metric.help.replace("Δ", "delta").encode("ascii", "replace").decode()


def label_of(run: str) -> str:
    """Return what the label `run` says of a run folder: Ray takes letters of ASCII alone, and two folders must not become one."""
    return run.encode("ascii", "backslashreplace").decode()


def labels_of(metric: Metric) -> tuple[str, ...]:
    """Return the labels of a metric, `run` first."""
    family = (metric.name.split("/")[-2],) if metric.name.endswith("/*") else ()
    return (RUN, *(metric.labels or family))


def series(metrics: Mapping[str, float]) -> Iterator[Series]:
    """Yield what a version's metrics export; what is not in the table, a bug that a test finds, is not exported."""
    for name, value in metrics.items():
        metric = describe(name)
        if metric is None:
            continue
        if metric.name.endswith("/*"):
            _, label = labels_of(metric)
            yield Series(metric, {label: _member(name, metric)}, value)
        else:
            yield Series(metric, {}, value)


def all_scraped() -> dict[str, Metric]:
    """Return every name that a run can export, with its line of the table."""
    return {name: metric for metric in (*METRICS, *LIVE) for name in scraped_names(metric)}


def _member(name: str, family: Metric) -> str:
    """Return what the label says: `weights/send_s` is the phase `send`."""
    member = name.removeprefix(family.name.removesuffix("*"))
    return member.removesuffix("_s") if family.unit == "s" else member
