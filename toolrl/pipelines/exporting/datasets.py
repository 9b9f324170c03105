"""What a model card says of the data: sources, sizes and licences, from the report that lies beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from toolrl.pipelines.exporting.lineage import DataSet, public
from toolrl.pipelines.exporting.markdown import is_hub_name, table

NOT_STATED = "not stated"


def told(data: DataSet) -> list[str]:
    """Return the section of a data set, in Markdown."""
    return [f"### `{data.name}` (`{data.setting}`)", "", *_lines(data)]


def hub_names(data: Iterable[DataSet]) -> list[str]:
    """Return the data sets of the hub that went into it, each once."""
    names = [name for each in data for name in [each.name, *((each.report or {}).get("inputs") or ())]]
    return [name for name in dict.fromkeys(names) if is_hub_name(name)]


def _lines(data: DataSet) -> list[str]:
    if data.name.startswith("demo://"):
        return ["The demo task of toolrl: requests made by a program, of which nothing was written by anybody."]
    report = data.report or {}
    if "table" in report:
        return _prepared(report)
    if "demonstrations" in report:
        return _distilled(report)
    return ["No report lies beside it, so sources, size and licences are not told here."]


def _prepared(report: Mapping[str, Any]) -> list[str]:
    kept, dropped = report["kept"], sum(each["rows"] for each in report["dropped"].values())
    licences = report.get("licences", {})
    head = ("source", "turns", "rows", "prompts kept", "licence, as the rows state it")
    rows = [
        (
            cell["source"],
            cell["turns"],
            f"{cell['raw']:,}",
            f"{cell['kept']:,}",
            ", ".join(licences.get(cell["source"], ())) or NOT_STATED,
        )
        for cell in report["table"]
    ]
    lines = [f"{report['rows_in']:,} rows; {kept['train']:,} prompts to train on, {kept['heldout']:,} held out, {dropped:,} left out.", ""]
    return [*lines, *table(head, rows), "", _contamination(report["contamination"])]


def _contamination(found: Mapping[str, Any]) -> str:
    hits = sum(each["hits"] for each in found["benchmarks"].values())
    fate = "" if not hits else ", which were removed" if found["removed"] else ", **which are trained on**"
    return f"Looked for in it: the requests of {', '.join(found['benchmarks'])}; {hits:,} found{fate}."


def _distilled(report: Mapping[str, Any]) -> list[str]:
    model, data = report["endpoint_model"] or public(report["model"]), public(report["data"])
    right = f"{report['samples_right']:,} of {report['samples']:,} samples are right; kept: {report['keep']}"
    return [
        f"{report['demonstrations']:,} demonstrations of {report['prompts']:,} prompts of `{data}`, answered by `{model}` ({right}).",
        "What may be done with such answers is for the licence of that model to say.",
    ]
