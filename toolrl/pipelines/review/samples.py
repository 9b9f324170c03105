"""What can be asked of `toolrl explain`: the versions of a run, its wrong samples by reason, the samples of one prompt."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from toolrl.errors import ConfigError
from toolrl.monitor import rollouts
from toolrl.pipelines.review.stored import StoredRun
from toolrl.types import Reason

_SAMPLE = re.compile(r"(\d{1,18})\.(\d{1,9})")
_DRAW = re.compile(r"\d{1,18}")
COLUMNS = ("version", "draw", "sample", "prompt_id", "reward", "advantage", "reason", "path")


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """The completions that made one version."""

    version: int
    first_draw: int
    last_draw: int
    completions: int
    right: int


def sample_of(name: str) -> tuple[int, int] | None:
    """Return (draw, sample) of a name like `37.2`, None where it is another.

    >>> sample_of("37.2"), sample_of("37")
    ((37, 2), None)
    """
    found = _SAMPLE.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def what_exists(run: StoredRun) -> str:
    """Say which samples a run has."""
    numbers = rollouts.read(run.rollouts, ["draw", "sample"])
    if not numbers.num_rows:
        return f"there is no sample in {', '.join(path.name for path in rollouts.files(run.rollouts).values())}"
    draws, samples = (pc.min_max(numbers.column(name)).as_py() for name in ("draw", "sample"))
    return (
        f"it has the draws {draws['min']} to {draws['max']} in the versions {run.versions[0]} to {run.versions[-1]}, "
        f"each with the samples {samples['min']} to {samples['max']}"
    )


def versions(run: StoredRun) -> list[VersionSummary]:
    """Return what each version was made of. Raises RunFolderError."""
    found = []
    for version, table in rollouts.stream(run.rollouts, ["draw", "reason"]):
        if table.num_rows:
            draws = pc.min_max(table.column("draw")).as_py()
            right = pc.sum(pc.equal(table.column("reason"), Reason.CORRECT.value)).as_py()
            found.append(VersionSummary(version, draws["min"], draws["max"], table.num_rows, right))
    return found


def of_version(run: StoredRun, version: int) -> list[dict[str, Any]]:
    """Return the samples that made a version. Raises ConfigError where the run has no such version."""
    if version not in run.versions:
        raise ConfigError(f"--version: no {version} in {run.path}; it has the versions {run.versions[0]} to {run.versions[-1]}")
    return _rows(next(rollouts.stream(run.rollouts, COLUMNS, (version,)))[1])


def named(run: StoredRun, name: str) -> list[dict[str, Any]]:
    """Return the samples of the prompt `name`, or where there is none of the draw `name`. Raises ConfigError where there are none."""
    rows = _rows_where(run, "prompt_id", name) if name in run.prompts else []
    if not rows and _DRAW.fullmatch(name):
        rows = _rows_where(run, "draw", int(name))
    if not rows:
        known = f"the prompt {name!r} was not drawn yet" if name in run.prompts else f"no sample, prompt or draw {name!r}"
        raise ConfigError(f"--sample: {known} in {run.path}; {what_exists(run)}; write DRAW.SAMPLE, or a prompt's id")
    return rows


def _rows_where(run: StoredRun, column: str, value: str | int) -> list[dict[str, Any]]:
    tables = (table.filter(pc.equal(table.column(column), value)) for _, table in rollouts.stream(run.rollouts, COLUMNS))
    return [row for table in tables for row in _rows(table)]


def by_reason(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return rows by their reason, the most frequent first."""
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["reason"]].append(row)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _rows(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return [{"id": f"{row['draw']}.{row['sample']}", **row} for row in rows]
