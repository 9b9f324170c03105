"""The first table of the page: each run in a dozen lines of words; and what is said of its lineage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from toolrl.monitor.supervised_console import duration
from toolrl.pipelines.reporting.record import Record

ENDS = 5
"""Versions averaged for the first and the last reward of training."""
NONE = "–"


def table(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Return the lines of the overview, (name, a value for each run); those that no run has are left out."""
    lines = [(name, [of(record) for record in records]) for name, of in _LINES]
    return [(name, values) for name, values in lines if set(values) != {NONE}]


def lineage(records: Sequence[Record]) -> list[str]:
    """Return what a reader must know of attempts that were given up: a sentence for each run that has any."""
    found = []
    for record in records:
        name = f"{record.name}: " if len(records) > 1 else ""
        for each in record.discarded:
            step = "optimizer step" if record.command == "sft" else "version"
            versions = f"{len(each.versions)} {step}{'' if len(each.versions) == 1 else 's'} ({_span(each.versions)})"
            completions = f" with {each.completions:,} completions" if each.completions else ""
            found.append(
                f"{name}{versions}{completions} that attempt {each.attempt} or one before it had made were discarded when the run "
                f"went back. They are in discarded/attempt-{each.attempt}, and in nothing on this page."
            )
        if record.driver:
            found.append(f"{name}the run is in progress ({record.driver}); this is what it had written when the page was made.")
    return found


def _span(versions: Sequence[int]) -> str:
    if not versions:
        return "none"
    return str(versions[0]) if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


def _metric(name: str, digits: int = 3) -> Callable[[Record], str]:
    """Return a reader of a metric's first and last value."""

    def of(record: Record) -> str:
        values = [value for line in record.lines if (value := line.get(name)) is not None]
        if not values:
            return NONE
        return f"{values[0]:.{digits}f}" if len(values) == 1 else f"{values[0]:.{digits}f} → {values[-1]:.{digits}f}"

    return of


def _ends(name: str, style: str = ".3f") -> Callable[[Record], str]:
    """Return a reader of the mean of a metric over the first and the last versions."""

    def of(record: Record) -> str:
        values = [value for line in record.lines if line["version"] > 0 and (value := line.get(name)) is not None]
        return f"{fmean(values[:ENDS]):{style}} → {fmean(values[-ENDS:]):{style}}" if values else NONE

    return of


def _total(record: Record, name: str) -> float:
    return sum(line.get(name) or 0.0 for line in record.lines if line["version"] > 0)


def _count(name: str) -> Callable[[Record], str]:
    return lambda record: f"{_total(record, name):,.0f}" if _total(record, name) else NONE


def _wall(record: Record) -> str:
    return duration(_total(record, "loop/step_s") + _total(record, "loop/eval_s"))


def _rate(record: Record) -> str:
    tokens, seconds = _total(record, "loop/tokens") or _total(record, "learner/tokens"), _total(record, "loop/step_s")
    return f"{tokens / seconds:,.0f}" if tokens and seconds else NONE


def _attempts(record: Record) -> str:
    if not record.attempts:
        return NONE
    lost = sum(len(each.versions) for each in record.discarded)
    return f"{len(record.attempts)}" + (f", {lost} versions discarded" if lost else "")


def _setting(name: str) -> Callable[[Record], str]:
    return lambda record: str(record.settings.get(name) or NONE)


_LINES: Sequence[tuple[str, Callable[[Record], str]]] = (
    ("state", lambda record: record.state),
    ("command", lambda record: f"toolrl {record.command}"),
    ("folder", lambda record: str(record.path)),
    (
        "started",
        lambda record: (
            str(record.attempts[0].get("started", NONE)).replace("T", " ").replace("+00:00", " UTC") if record.attempts else NONE
        ),
    ),
    ("attempts", _attempts),
    ("start model", _setting("model.path")),
    ("training data", _setting("data.train")),
    ("held-out reward, sampled", _metric("heldout/reward")),
    ("held-out reward, greedy", _metric("heldout/greedy")),
    (f"training reward (mean of {ENDS} versions)", _ends("reward/mean")),
    ("held-out loss (nats)", _metric("heldout/loss", 4)),
    (f"training loss (mean of {ENDS} versions)", _ends("learner/loss", ".3g")),
    ("completions trained", _count("loop/completions")),
    ("tokens trained", lambda record: _count("loop/tokens")(record) if _total(record, "loop/tokens") else _count("learner/tokens")(record)),
    ("tokens trained per second", _rate),
    ("wall time of its versions", _wall),
    ("kept of its completions", lambda record: str(record.settings.get("monitor.rollouts", NONE)) if record.prompts is not None else NONE),
)
