"""The report of `toolrl prepare`, for people: a table for the terminal and a Markdown page.

The report itself is plain JSON: `{format, settings, inputs: {path: rows}, rows_in, kept: {train, heldout}, dropped: {reason: {rows,
samples}}, prompt_length: {unit, min, median, p95, max}}`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolrl.data.split import PARTS


def summary(report: Mapping[str, Any]) -> str:
    """Return the report as an aligned table for a terminal."""
    lines = _lines(report)
    width = max(len(label) for label, _, _ in lines)
    digits = max(len(f"{count:,}") for _, count, _ in lines)
    return "\n".join(f"{label:<{width}}  {count:>{digits},}  {note}".rstrip() for label, count, note in lines)


def page(report: Mapping[str, Any]) -> str:
    """Return the report as a Markdown page: the table, what the samples of each reason show, the settings."""
    table = [f"| {label.strip()} | {count:,} | {note.replace('|', '/')} |" for label, count, note in _lines(report)]
    samples = [
        f"- {reason}: `{sample['id']}` {' '.join(sample['detail'].split())}"
        for reason, dropped in report["dropped"].items()
        for sample in dropped["samples"]
    ]
    parts = ["# Prepared prompts", "\n".join(["| | | |", "|---|---:|---|", *table])]
    if samples:
        parts += ["## Samples of what was dropped", "\n".join(samples)]
    parts += ["## Settings", "\n".join(f"- {key}: {value}" for key, value in report["settings"].items())]
    return "\n\n".join(parts) + "\n"


def _lines(report: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Return label, count and note of each line of the table."""
    lines = [("rows in", report["rows_in"], ", ".join(f"{path}: {rows:,}" for path, rows in report["inputs"].items()))]
    lines += [("kept", sum(report["kept"].values()), "")]
    lines += [(f"  {part}", report["kept"][part], "") for part in PARTS]
    lines += [("dropped", sum(d["rows"] for d in report["dropped"].values()), "")]
    for reason, dropped in report["dropped"].items():
        lines.append((f"  {reason}", dropped["rows"], "e.g. " + ", ".join(sample["id"] for sample in dropped["samples"])))
    length = report["prompt_length"]
    return lines + [(f"prompt {length['unit']}, {name}", length[name], "") for name in ("min", "median", "p95", "max")]


def quantiles(lengths: array[int]) -> dict[str, int]:
    """Return lengths that occur: the smallest for which that share of the prompts is no longer."""
    shares = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}
    return {name: int(np.quantile(lengths, q, method="inverted_cdf")) if lengths else 0 for name, q in shares.items()}
