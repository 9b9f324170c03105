"""Settings side by side: what differs between the runs of a page, from the defaults, and between the attempts of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolrl.calls.render import as_text
from toolrl.config.kinds import KINDS
from toolrl.config.load import settings
from toolrl.pipelines.reporting.record import Record

ABSENT = "–"
"""A run has no such setting."""
WHERE = ("run.dir",)
"""Differs always, and says nothing."""


def between(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the settings in which the runs differ: {name, values: one a run}."""
    names = dict.fromkeys(name for record in records for name in record.settings)
    rows = [(name, [_value(record, name) for record in records]) for name in names if name not in WHERE]
    return [{"name": name, "values": values} for name, values in rows if len(set(values)) > 1]


def from_defaults(record: Record) -> list[dict[str, Any]]:
    """Return the settings of a run that are not the defaults: {name, value, default}."""
    known = settings(KINDS[record.command])
    rows = [(name, _value(record, name), told(known[name][1] if name in known else None)) for name in record.settings if name not in WHERE]
    return [{"name": name, "value": value, "default": default} for name, value, default in rows if value != default]


def attempts(record: Record) -> list[dict[str, Any]]:
    """Return the attempts of a run: number, when, why, and what was changed: {name, was, now}."""
    found = []
    for i, attempt in enumerate(record.attempts, start=1):
        changed = attempt.get("changed")
        pairs = changed.items() if isinstance(changed, Mapping) else ()
        found.append(
            {
                "attempt": attempt.get("attempt", i),
                "started": str(attempt.get("started", "")),
                "after": str(attempt.get("after", "")),
                "git": str(attempt.get("git") or ""),
                "changed": [
                    {"name": name, "was": told(pair.get("from")), "now": told(pair.get("to"))}
                    for name, pair in pairs
                    if isinstance(pair, Mapping)
                ],
            }
        )
    return found


def packages(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the packages whose versions differ between the newest attempts of the runs: {name, values: one a run}."""
    found = [_packages(record) for record in records]
    names = sorted({name for each in found for name in each})
    rows = [{"name": name, "values": [each.get(name, ABSENT) for each in found]} for name in names]
    return [row for row in rows if len(set(row["values"])) > 1]


def told(value: Any) -> str:
    """Return a value as it is written in a file of settings, near enough."""
    if isinstance(value, str):
        return value or '""'
    return as_text(value)


def _value(record: Record, name: str) -> str:
    return told(record.settings[name]) if name in record.settings else ABSENT


def _packages(record: Record) -> Mapping[str, str]:
    newest = record.attempts[-1].get("packages") if record.attempts else None
    return {str(name): str(version) for name, version in newest.items()} if isinstance(newest, Mapping) else {}
