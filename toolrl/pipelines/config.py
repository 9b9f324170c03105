"""`toolrl config`: the schema with its docs, a resolved configuration, or the generated reference pages."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from toolrl.config.kinds import KINDS
from toolrl.config.load import load, settings, to_yaml, type_name
from toolrl.monitor.exported import labels_of, scraped_names
from toolrl.monitor.metrics import LIVE, METRICS, Metric


def show(arguments: Sequence[str], *, command: str, markdown: bool, metrics: bool) -> str:
    """Return what `toolrl config` prints. Raises ConfigError where `arguments` are wrong."""
    kind = KINDS[command]
    if metrics:
        return metrics_page()
    if markdown:
        return settings_page()
    return to_yaml(load(kind, arguments)).rstrip() if arguments else schema_text(kind)


def field_docs(section: type[Any]) -> dict[str, str]:
    """Return the documentation string under each field of a settings dataclass, as one line: a line break would end a row of the table."""
    body = ast.parse(inspect.getsource(section).lstrip()).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for declared, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(declared, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docs[ast.unparse(declared.target)] = " ".join(str(below.value.value).split())
    return docs


def schema_text(kind: type[Any]) -> str:
    """Return every setting of a configuration with its type, default and documentation."""
    lines: list[str] = []
    known = settings(kind)
    for section, docs in _sections(kind):
        lines.append(f"\n{section}:" if lines else f"{section}:")
        for name, doc in docs.items():
            wanted, default = known[f"{section}.{name}"]
            lines.append(f"  {name}: {default!r}  ({type_name(wanted)})\n      {doc}")
    return "\n".join(lines)


def settings_page() -> str:
    """Return docs/settings.md."""
    parts = ["# Settings", "", "Made by `make docs` from the schema; a test compares it.", ""]
    for command, kind in KINDS.items():
        known = settings(kind)
        parts += [f"## `toolrl {command}`", "", "| setting | type | default | meaning |", "|---|---|---|---|"]
        for section, docs in _sections(kind):
            for name, doc in docs.items():
                wanted, default = known[f"{section}.{name}"]
                parts.append(f"| `{section}.{name}` | {type_name(wanted)} | `{default!r}` | {_cell(doc)} |")
        parts.append("")
    return "\n".join(parts).rstrip()


def metrics_page() -> str:
    """Return docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Made by `make docs` from `toolrl.monitor.metrics`; a test compares it. Every series on the endpoint has the label `run`, the name "
        "of the run folder. How Prometheus and Grafana find them: [monitoring.md](monitoring.md).",
        "",
        "## Of each version",
        "",
        "They go to `metrics.jsonl`, the terminal, TensorBoard, Weights & Biases and, the newest value of each, to Ray's endpoint.",
        "",
        "| metric | unit | meaning | on the endpoint |",
        "|---|---|---|---|",
        *(f"| `{m.name}` | {m.unit} | {_cell(m.help)} | {_exported(m)} |" for m in METRICS),
        "",
        "## Of each actor, between versions",
        "",
        "Each engine, reward worker and learner rank, and the driver, says them to Ray's endpoint every few seconds, and to nobody else.",
        "",
        "| metric | unit | meaning | on the endpoint |",
        "|---|---|---|---|",
        *(f"| `{m.name}` | {m.unit} | {_cell(m.help)} | {_exported(m)} |" for m in LIVE),
    ]
    return "\n".join(lines)


def _exported(metric: Metric) -> str:
    """Return the names of a metric on the endpoint, with its labels but `run`."""
    labels = ", ".join(labels_of(metric)[1:])
    return "<br>".join(f"`{name}{f'{{{labels}}}' if labels else ''}`" for name in scraped_names(metric))


def _cell(text: str) -> str:
    """A bar as in |Δ log p| would begin another column."""
    return text.replace("|", "\\|")


def _sections(kind: type[Any]) -> list[tuple[str, dict[str, str]]]:
    base = kind()
    return [(f.name, field_docs(type(getattr(base, f.name)))) for f in fields(kind)]
