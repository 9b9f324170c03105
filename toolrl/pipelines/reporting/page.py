"""The page as HTML: words in the template, numbers and texts in blocks, one script and one style whose hashes the policy names.

    Record, GroupIndex of each run ─> Carried (the groups that fit) ─> render ─> one file that loads nothing
                                      or none: the browser asks its server

Texts of models and of data are hostile. In the template they are escaped; in the blocks they are base64; in the browser they become text
nodes; and the policy lets no script run but the page's own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import jinja2

from toolrl import __version__
from toolrl.calls.rules import RULES
from toolrl.pipelines.reporting import charts, differences, overview, shapes
from toolrl.pipelines.reporting.blocks import Blocks, packed, packed_groups
from toolrl.pipelines.reporting.choice import Choice, choose, spread
from toolrl.pipelines.reporting.groups import GroupIndex, GroupRow
from toolrl.pipelines.reporting.record import Record

MIB = 1024 * 1024
GROUPS_BYTES = 24 * MIB
"""What the groups of a page may take in its file, prompts included: a browser has such a page ready in under a second."""
PROBED = 64
"""Groups from whose size the others' is guessed."""
SCRIPTS = ("vendor/uPlot.iife.min.js", "data.js", "charts.js", "groups.js", "detail.js", "main.js")
STYLES = ("vendor/uPlot.min.css", "page.css")
UPLOT = "1.6.32"
ENDS = ("</script", "</style", "<!--")
"""What would end the element that a script or a style stands in."""

Index = Sequence[GroupIndex | None]
"""Of each run; None: it has no rollouts."""


@dataclass(frozen=True)
class Carried:
    """The groups of one run that a page carries."""

    choice: Choice
    rows: list[dict[str, Any]]
    blocks: dict[str, str]

    @property
    def num_bytes(self) -> int:
        """In the file."""
        return sum(map(len, self.blocks.values()))


def carry(records: Sequence[Record], indexes: Index, most: int, each: Callable[[], None] = lambda: None) -> dict[int, Carried]:
    """Return by run the groups that fit on a page: at most `most`, and GROUPS_BYTES, shared evenly. Calls `each` after every group.

    Raises RunFolderError.
    """
    having = [(i, record, index) for i, (record, index) in enumerate(zip(records, indexes, strict=True)) if index is not None]
    found = {}
    for i, record, index in having:
        budget, quota = GROUPS_BYTES // len(having), max(1, most // len(having))
        probe = [index.rows[k] for k in spread(range(len(index.rows)), PROBED)]
        if len(index.rows) > PROBED < quota:
            quota = min(quota, max(1, budget * len(probe) // max(1, _carried(i, record, Choice(tuple(probe), 0)).num_bytes)))
        carried = _carried(i, record, choose(index.rows, quota), index.rows, each)
        while carried.num_bytes > budget and len(carried.rows) > 1:
            quota = max(1, int(0.95 * len(carried.rows) * budget / carried.num_bytes))
            carried = _carried(i, record, choose(index.rows, quota), index.rows, each)
        found[i] = carried
    return found


def _carried(number: int, record: Record, choice: Choice, of: Sequence[GroupRow] = (), each: Callable[[], None] = lambda: None) -> Carried:
    groups, prompts = Blocks(f"group-{number}"), Blocks(f"prompt-{number}")
    rows = packed_groups(record, choice.rows, groups, prompts, each=each)
    groups.close()
    prompts.close()
    drawn: dict[str, int] = {}
    for row in of:
        drawn[row.prompt_id] = drawn.get(row.prompt_id, 0) + 1
    return Carried(choice, [{**row, "drawn": drawn.get(row["prompt"], 1)} for row in rows], {**groups.done, **prompts.done})


def render(records: Sequence[Record], indexes: Index, carried: dict[int, Carried] | None) -> str:
    """Return the page; `carried` is None where the groups are served."""
    metrics = [charts.metrics_of(record) for record in records]
    catalogue = charts.catalogue(records)
    shown = {curve["metric"] for chart in catalogue for curve in chart["curves"]}
    reasons = [shapes.reasons_json(record) for record in records]
    runs = [
        {
            "number": i,
            "name": record.name,
            "x": of["x"],
            "per": of["per"],
            "metrics": {name: values for name, values in of["metrics"].items() if name in shown},
            "reasons": reasons[i],
            "stages": charts.stages_json(record) if any(line["version"] > 0 for line in record.lines) else None,
            "groups": indexes[i] is not None,
        }
        for i, (record, of) in enumerate(zip(records, metrics, strict=True))
    ]
    rows = [(record.name, index.rows) for record, index in zip(records, indexes, strict=True) if index is not None]
    start = {
        "served": carried is None,
        "runs": runs,
        "step": "optimizer step" if all(record.command == "sft" for record in records) else "version",
        "charts": catalogue,
        "units": {name: charts.told(name) for of in metrics for name in of["metrics"]},
        "histograms": shapes.histograms(rows),
        "facets": _facets([row for _, of_run in rows for row in of_run]),
        "rules": {str(reason): rule for reason, rule in RULES.items()},
    }
    blocks = {"start": packed(start), **{f"metrics-{i}": packed(of["metrics"]) for i, of in enumerate(metrics)}}
    for i, each in (carried or {}).items():
        blocks |= {f"rows-{i}": packed(each.rows), **each.blocks}
    script, style = _code()
    return _template().render(
        policy=policy(served=carried is None),
        script=script,
        style=style,
        blocks=blocks.items(),
        served=carried is None,
        runs=[
            {
                "number": i,
                "name": record.name,
                "groups": indexes[i] is not None,
                "budget": charts.budget_of(record),
                "changed": differences.from_defaults(record),
                "attempts": differences.attempts(record),
            }
            for i, record in enumerate(records)
        ],
        overview=overview.table(records),
        lineage=overview.lineage(records),
        chosen=_chosen(records, indexes, carried),
        between=differences.between(records),
        packages=differences.packages(records),
        rules=[(str(reason), rule) for reason, rule in RULES.items()],
        has_reasons=any(reasons),
        has_groups=any(index is not None for index in indexes),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        release=__version__,
        uplot=UPLOT,
    )


@cache
def policy(*, served: bool) -> str:
    """Return what the browser may do: run the page's one script, use its one style; where it is served, ask its own server."""
    script, style = map(_hash, _code())
    connect = "'self'" if served else "'none'"
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src {connect}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _code() -> tuple[str, str]:
    """Return the page's script and style, which end nothing that they stand in."""
    script, style = ("\n".join(map(_asset, names)) for names in (SCRIPTS, STYLES))
    assert not [end for end in ENDS if end in script + style]
    return script, style


def counted(number: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "group"), counted(2000, "group")
    ('1 group', '2,000 groups')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _facets(rows: Sequence[GroupRow]) -> dict[str, list[str]]:
    """Return what can be chosen in a filter."""
    reasons = {reason for row in rows for reason in row.reasons}
    tools = {tool for row in rows for tool in row.tools}
    return {"reason": sorted(reasons), "tool": sorted(tools)}


def _chosen(records: Sequence[Record], indexes: Index, carried: dict[int, Carried] | None) -> list[str]:
    """Say of each run which of its groups can be looked at, and why those."""
    found = []
    for i, (record, index) in enumerate(zip(records, indexes, strict=True)):
        if index is None:
            continue
        name = f"{record.name}: " if len(records) > 1 else ""
        total, completions = len(index.rows), index.completions()
        if carried is None or len(carried[i].rows) == total:
            found.append(
                f"{name}{'all' if total > 1 else 'the'} {counted(total, 'group')} of the run, {counted(completions, 'completion')}."
            )
        else:
            found.append(
                f"{name}{len(carried[i].rows):,} of {total:,} groups are on this page ({carried[i].num_bytes / MIB:.1f} MiB of at most "
                f"{GROUPS_BYTES / MIB:.0f}). {carried[i].choice.told} `toolrl report {record.path} --serve` shows all."
            )
    return found


@cache
def _asset(name: str) -> str:
    return (resources.files("toolrl.pipelines.reporting") / "page" / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(_asset("page.html.j2"))
