"""A table for people: as columns at a terminal, as Markdown in a document. The paper's numbers stand beside ours, never among them."""

from __future__ import annotations

from collections.abc import Sequence

from toolrl.pipelines.evaluating.page import percent, whole
from toolrl.pipelines.evaluating.scores import CALLS, FORM, OFFICIAL, OURS
from toolrl.pipelines.recipes.plan import Plan
from toolrl.pipelines.recipes.results import Cell, Pair, RowResult, columns_of, pairs, remarks, results
from toolrl.pipelines.review.page import table, wrap

RIGHT = {
    OFFICIAL: "what upstream's rules say",
    OURS: "what our verdict says, the form included where the benchmark has one",
    CALLS: "an answer whose calls are right, whatever its form",
    FORM: "the strict form, whatever the calls",
}


def text(plan: Plan, width: int) -> str:
    """Return the table for a terminal, `width` columns wide."""
    rows = results(plan)
    body = table(_grid(plan, rows), right=range(1, 2 + len(columns_of(plan))))
    lines = [part for line in _notes(plan, rows) for part in wrap(line, width, "  ")]
    compared = [part for pair in pairs(plan) for part in wrap(_pair(pair), width, "  ")]
    return whole([wrap(_title(plan), width), body, lines, compared], width)


def markdown(plan: Plan) -> str:
    """Return the table for a document."""
    rows = results(plan)
    head, *body = _grid(plan, rows)
    lines = [f"### {_title(plan)}", "", _line(head), _line(["---"] * len(head)), *map(_line, body), ""]
    lines += [f"- {line}" for line in (*_notes(plan, rows), *map(_pair, pairs(plan)))]
    return "\n".join(lines)


def _title(plan: Plan) -> str:
    return f"{plan.table.title} · at size {', '.join(f'{size.name}: {size.title}' for size in plan.sizes)}"


def _grid(plan: Plan, rows: Sequence[RowResult]) -> list[list[str]]:
    columns = columns_of(plan)
    papers = _paper_columns(rows)
    head = ["", *(column.name for column in columns), "items", *([f"paper: {' / '.join(papers)}"] if papers else [])]
    return [head, *([row.title, *map(_number, row.cells), _items(row), *_paper(row, papers)] for row in rows)]


def _number(cell: Cell) -> str:
    return cell.why if cell.value is None else percent({"value": cell.value, "low": cell.low, "high": cell.high})


def _items(row: RowResult) -> str:
    found = list(dict.fromkeys(f"{cell.items:,}" for cell in row.cells if cell.value is not None))
    return " / ".join(found) or "–"


def _paper_columns(rows: Sequence[RowResult]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.paper))


def _paper(row: RowResult, papers: Sequence[str]) -> list[str]:
    if not papers:
        return []
    return [" / ".join(f"{row.paper[name]:.2f}" if name in row.paper else "–" for name in papers) if row.paper else "–"]


def _notes(plan: Plan, rows: Sequence[RowResult]) -> list[str]:
    """Say what each number is, once."""
    cells = [cell for row in rows for cell in row.cells if cell.formula]
    formulas = dict.fromkeys(map(_formula, cells))
    brackets = "in percent; in brackets 95 % bootstrap intervals over the items: they hold no noise of training, which only more seeds show"
    return [*formulas, brackets, *remarks(plan), *([plan.table.note] if plan.table.note else [])]


def _formula(cell: Cell) -> str:
    column = cell.column
    return f"{column.name}: {column.average} of {cell.benchmark} = {cell.formula}; right is {RIGHT[column.measure]}"


def _pair(pair: Pair) -> str:
    """Say how two rows compare, on the items that both answered."""
    what = f"[{pair.second}] − [{pair.first}] · {pair.what}"
    found = pair.comparison
    if found is None:
        return f"{what}: not run"
    return (
        f"{what}: {100 * found.difference:+.2f} points ({100 * found.low:+.2f} to {100 * found.high:+.2f}), right alone {found.only_b} "
        f"against {found.only_a} of {found.items:,} items, p = {found.p:.3g} (McNemar)"
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
