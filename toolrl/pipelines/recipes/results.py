"""A plan -> the numbers of its table, read from the evaluations that are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from toolrl.evaluation.compare import Comparison
from toolrl.pipelines.evaluate import comparisons
from toolrl.pipelines.evaluating.stored import read_scores
from toolrl.pipelines.recipes.parts import Column
from toolrl.pipelines.recipes.plan import Plan, RowPlan

NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a row."""

    column: Column
    value: float | None
    low: float | None
    high: float | None
    items: int
    formula: str
    benchmark: str = ""
    """The one that was run."""
    why: str = ""
    """Why there is no number."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row with its numbers."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    paper: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows compared, item by item."""

    first: str
    second: str
    what: str
    """What is right, and over which items."""
    comparison: Comparison | None
    """None: one of them was not run."""


def columns_of(plan: Plan) -> tuple[Column, ...]:
    """Return the columns: those of the size where it has its own, else those of the table."""
    return plan.sizes[0].columns or plan.table.columns


def results(plan: Plan) -> tuple[RowResult, ...]:
    """Return the rows of a table as far as they are done. Raises RunFolderError where what is done was damaged."""
    columns = columns_of(plan)
    return tuple(RowResult(each.row.name, each.row.title, tuple(_cell(each, c) for c in columns), each.row.paper) for each in plan.rows)


def pairs(plan: Plan) -> tuple[Pair, ...]:
    """Return the pairs of rows that the table compares over every item of each benchmark, by the measure of its first column."""
    by_name = {each.row.name: each for each in plan.rows}
    found = []
    for first, second in plan.table.compare:
        for benchmark, column in _first_columns(plan).items():
            step, other = (by_name[name].evaluations.get(benchmark) for name in (first, second))
            if step is None or other is None:
                continue
            rows = comparisons(step.folder, other.folder, column.measure) if step.done and other.done else []
            what = f"every item of {step.benchmark}, right as in {column.name}"  # a column may be of some of the items alone
            found.append(Pair(by_name[first].row.title, by_name[second].row.title, what, rows[0][1] if rows else None))
    return tuple(found)


def remarks(plan: Plan) -> tuple[str, ...]:
    """Return what the steps that are done left to say of their rows."""
    found = ((step.name, (step.marked() or {}).get("remark")) for step in plan.steps if step.done)
    return tuple(f"{name}: {remark}" for name, remark in found if remark)


def _first_columns(plan: Plan) -> dict[str, Column]:
    """Return the first column of each benchmark, in their order."""
    found: dict[str, Column] = {}
    for column in columns_of(plan):
        found.setdefault(column.benchmark, column)
    return found


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the table as JSON."""
    return {
        "table": plan.table.name,
        "title": plan.table.title,
        "sizes": {size.name: size.title for size in plan.sizes},
        "rows": [asdict(row) for row in results(plan)],
        "compared": [asdict(pair) for pair in pairs(plan)],
    }


def _cell(planned: RowPlan, column: Column) -> Cell:
    step = planned.evaluations.get(column.benchmark)
    if step is None or not step.done:
        return Cell(column, None, None, None, 0, "", why=NOT_RUN)
    scores = read_scores(step.folder)
    for each in scores["estimates"]:
        if each["measure"] == column.measure and each["name"] == column.average:
            why = "" if each["value"] is not None else f"{NOT_RUN}: {', '.join(each['missing'])}"
            return Cell(column, each["value"], each["low"], each["high"], each["items"], each["formula"], step.benchmark, why)
    return Cell(column, None, None, None, 0, "", why=scores["official_not_run"] or f"no {column.measure} {column.average}")
