"""The report of `toolrl prepare`, for people: a summary for the terminal and a page that needs nothing but itself.

    report.json ─┬─ summary ─> aligned text
                 └─ page ────> report.html: no script, nothing loaded, every word of the data escaped

The report is plain JSON: `{format, settings, inputs: {spec: rows}, table: [{source, turns, raw, kept}], licences: {source: [as its rows
state them]}, rows_in, prompts_in, kept: {train, heldout}, dropped: {reason: {rows, samples: [{id, detail}]}}, repaired: {kind: …},
augmented: {kind: rows}, contamination: {removed, benchmarks: {name: {items, hits}}, samples: [{id, benchmark, match}]}, prompt_length:
{unit, min, median, p95, max}}`.
"""

from __future__ import annotations

import shlex
from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import groupby
from math import log
from typing import Any

import jinja2
import numpy as np

from toolrl.data.report_words import AUGMENTED, DROPPED, REPAIRED, label
from toolrl.data.split import PARTS

MAX_COLUMNS = 6
"""Most columns of the table in the paper's form; with more, each has a line of its own."""
NAME_CHARS = 40
"""Longer names of sources are cut in the terminal."""


def summary(report: Mapping[str, Any]) -> str:
    """Return the report as aligned text for a terminal."""
    kept, dropped = report["kept"], report["dropped"]
    split = ", ".join(f"{kept[part]:,} {name}" for part, name in zip(PARTS, ("train", "held out"), strict=True))
    lines = [("kept", sum(kept.values()), split)]
    lines += [("dropped", sum(each["rows"] for each in dropped.values()), ""), *_counted(dropped)]
    if repaired := report["repaired"]:
        lines += [("repaired", sum(each["rows"] for each in repaired.values()), ""), *_counted(repaired)]
    lines += [(f"augmented: {label(kind)}", rows, "") for kind, rows in report["augmented"].items()]
    fate = "removed" if report["contamination"]["removed"] else "trained on"
    for name, each in report["contamination"]["benchmarks"].items():
        lines.append((f"in {name}", each["hits"], f"{fate if each['hits'] else 'clean'}; {each['items']:,} items known"))
    length = report["prompt_length"]
    lines += [(f"prompt {length['unit']}", length["median"], f"median; {length['p95']:,} at 95%, {length['max']:,} at most")]
    head = f"{report['rows_in']:,} rows, {report['prompts_in']:,} prompts"
    return "\n".join([*_table_lines(report["table"]), "", head, *_aligned(lines)])


def page(report: Mapping[str, Any]) -> str:
    """Return the report as one HTML page."""
    kept, dropped = report["kept"], report["dropped"]
    whole = sum(kept.values()) + sum(each["rows"] for each in dropped.values())
    return _template().render(
        report=report,
        kept=sum(kept.values()),
        dropped=sum(each["rows"] for each in dropped.values()),
        repaired=sum(each["rows"] for each in report["repaired"].values()),
        hits=sum(each["hits"] for each in report["contamination"]["benchmarks"].values()),
        share=lambda count: 100 * count / whole,
        table=(table := _ordered(report["table"])),
        groups=[(source, len(list(cells))) for source, cells in groupby(table, key=lambda cell: cell["source"])],
        in_columns=len(table) <= MAX_COLUMNS,
        total={name: sum(cell[name] for cell in table) for name in ("raw", "kept")},
        words={**DROPPED, **REPAIRED, **AUGMENTED},
        change=_change,
        places=_places(report["prompt_length"]),
        command=_command(report),
    )


def quantiles(lengths: array[int]) -> dict[str, int]:
    """Return lengths that occur: the smallest for which that share of the prompts is no longer."""
    shares = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}
    return {name: int(np.quantile(lengths, q, method="inverted_cdf")) if lengths else 0 for name, q in shares.items()}


def _counted(found: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    return [(f"  {label(name)}", each["rows"], "e.g. " + ", ".join(s["id"] for s in each["samples"])) for name, each in found.items()]


def _aligned(lines: Sequence[tuple[str, int, str]]) -> list[str]:
    width = max(len(name) for name, _, _ in lines)
    digits = max(len(f"{count:,}") for _, count, _ in lines)
    return [f"{name:<{width}}  {count:>{digits},}  {_plain(note)}".rstrip() for name, count, note in lines]


def _table_lines(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table in the form of the paper's: a column for each source's single- or multi-turn rows; turned where they are many."""
    columns = [["", "", "raw", "after processing"]]
    columns += [[_cut(cell["source"]), f"{cell['turns']}-turn", f"{cell['raw']:,}", f"{cell['kept']:,}"] for cell in _ordered(table)]
    columns += [["total", "", *(f"{sum(cell[name] for cell in table):,}" for name in ("raw", "kept"))]]
    turned = len(table) > MAX_COLUMNS
    rows, texts = (columns, 2) if turned else ([list(row) for row in zip(*columns, strict=True)], 1)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{text:{'<' if i < texts else '>'}{widths[i]}}" for i, text in enumerate(row)).rstrip() for row in rows]


def _ordered(table: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the cells with those of a source together, single-turn rows first."""
    sources = list(dict.fromkeys(cell["source"] for cell in table))
    return sorted(table, key=lambda cell: (sources.index(cell["source"]), cell["turns"] != "single"))


def _change(detail: str) -> tuple[str, str, str]:
    """Return place, before and after of a repair's `place: before -> after`; all in the first where it says so otherwise."""
    place, _, change = detail.partition(": ")
    before, arrow, after = change.partition(" -> ")
    return (place, before, after) if arrow and " -> " not in after else (detail, "", "")


def _places(length: Mapping[str, Any]) -> Mapping[str, float]:
    """Return where on a line from the shortest to the longest prompt each length stands, in percent, by its logarithm."""
    low, high = (log(1 + length[name]) for name in ("min", "max"))
    return {name: 100 * (log(1 + length[name]) - low) / ((high - low) or 1) for name in ("min", "median", "p95", "max")}


def _command(report: Mapping[str, Any]) -> str:
    """Return the command that makes the same folder again."""
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {shlex.quote(str(value))}")
        for name, stated in report["settings"].items()
        for value in (stated if isinstance(stated, list) else [stated])
        if value is not None and value is not False and value != ""
    ]
    return " \\\n  ".join(["toolrl prepare", *map(shlex.quote, report["inputs"]), "--out DIR", *options])


def _cut(name: str) -> str:
    plain = _plain(name)
    return plain if len(plain) <= NAME_CHARS else plain[: NAME_CHARS - 1] + "…"


def _plain(text: str) -> str:
    """Return a text of the data in one line, without what a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


@cache
def _template() -> jinja2.Template:
    text = (resources.files("toolrl.data") / "pages" / "report.html.j2").read_text(encoding="utf-8")
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"label": label, "number": lambda value: f"{value:,}"}
    return made.from_string(text)
