"""What `toolrl explain` tells a person who asked for no single sample: versions, wrong samples by reason, samples of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolrl.pipelines.review.page import page, table, try_one
from toolrl.pipelines.review.samples import VersionSummary, by_reason
from toolrl.types import Reason

VERSIONS = 12
"""Versions that the overview shows, evenly spread, the first and the last among them."""
EXAMPLES = 6
"""Samples of each reason."""
SAMPLES = 48
"""Samples of a prompt."""


def overview(run: Path, versions: Sequence[VersionSummary], last: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return the versions of a run, and the samples `last` of the newest by reason."""
    completions, right = sum(v.completions for v in versions), sum(v.right for v in versions)
    last_index, most = len(versions) - 1, min(VERSIONS, len(versions))
    shown = [versions[round(i * last_index / max(most - 1, 1))] for i in range(most)]
    rows = [[f"{v.version}", f"{v.first_draw}–{v.last_draw}", f"{v.completions:,}", f"{v.right / v.completions:.1%}"] for v in shown]
    table_of_versions = table([["version", "draws", "completions", "right"], *rows], right=range(4))
    lines = [f"  {line}" for line in table_of_versions]
    if most < len(versions):
        lines.append(f"  {most} of the versions, evenly spread")
    head = f"{len(versions)} versions, {completions:,} completions, {right:,} right ({right / completions:.1%}) in {run}"
    return _with_next(page([[head], lines, _by_reason(versions[-1].version, last)], width), run, last)


def of_version(run: Path, version: int, rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return the samples of one version by reason."""
    return _with_next(page([_by_reason(version, rows)], width), run, rows)


def of_name(run: Path, name: str, rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return the samples of one prompt or draw, a line each, the latest first where there are too many to show."""
    right = sum(row["reason"] == Reason.CORRECT for row in rows)
    prompts = sorted({row["prompt_id"] for row in rows})
    title = f"{name}: {len(rows)} samples, {right} right" + ("" if prompts == [name] else f", of the prompt {', '.join(prompts)}")
    head = ["sample", "version", "reward", "advantage", "reason"]
    lines = [[row["id"], str(row["version"]), _number(row["reward"], "g"), _number(row["advantage"], "+.3f"), _why(row)] for row in rows]
    more = [f"  the first {len(rows) - SAMPLES} are not shown"] if len(rows) > SAMPLES else []
    shown = [f"  {line}" for line in table([head, *lines[-SAMPLES:]], right=(1, 2, 3))]
    return _with_next(page([[title], [*shown, *more]], width), run, rows[-SAMPLES:])


def _by_reason(version: int, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    reasons = by_reason(rows)
    counted = [[f"{len(found)}", reason, ", ".join(row["id"] for row in found[:EXAMPLES])] for reason, found in reasons.items()]
    more = [" …" if len(found) > EXAMPLES else "" for found in reasons.values()]
    lines = [f"  {line}{dots}" for line, dots in zip(table(counted, right=(0,)), more, strict=True)]
    return [f"version {version}: {len(rows)} completions by reason, with some of their samples", *lines]


def _with_next(found: str, run: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    wrong = next((row for row in rows if row["reason"] != Reason.CORRECT), rows[0])
    return f"{found}\n\n{try_one(run, wrong['id'])}"


def _why(row: Mapping[str, Any]) -> str:
    return f"{row['reason']}" + (f" at {row['path']}" if row["path"] else "")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
