"""`toolrl report RUN [RUN…]`: a page that shows what runs did, one file that needs nothing but a browser; or the same page served.

run folders ─> Record, GroupIndex ─┬─> groups that fit ─> report.html, written whole or not at all
                                   └─> (--serve) a page that asks for any group, answered from the Parquet files on loopback
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toolrl.errors import ConfigError
from toolrl.monitor.durable import aside_of, replace_text
from toolrl.pipelines.reporting.groups import index_of
from toolrl.pipelines.reporting.page import MIB, carry, counted, policy, render
from toolrl.pipelines.reporting.record import Record, read_records
from toolrl.pipelines.reporting.served import ServedRuns

NAME = "report.html"
MOST_GROUPS = 5000
"""Groups on a page: more than anybody looks through, and still filtered at once."""
TOLD_EVERY_S = 2.0
PORT = 8010


def report(paths: Sequence[Path], *, out: Path | None, groups: int, as_json: bool) -> str:
    """Write the page and return what the command prints. Raises UserError kin."""
    if groups < 1:
        raise ConfigError(f"--groups: got {groups}; give 1 or more")
    began = time.monotonic()
    records = read_records(paths)
    target = out or paths[0] / NAME
    if target.is_dir() or not target.parent.is_dir():
        raise ConfigError(f"--out: {target} {'is a folder' if target.is_dir() else 'lies in no folder'}; name a file in one that is there")
    indexes = [index_of(record) for record in records]
    carried = carry(records, indexes, groups, _progress())
    page = render(records, indexes, carried)
    try:
        replace_text(target, page)
    except OSError as error:
        aside_of(target).unlink(missing_ok=True)
        raise ConfigError(f"--out: {target} cannot be written ({error.strerror}); name another file") from error
    shown = sum(len(each.rows) for each in carried.values())
    total = sum(len(index.rows) for index in indexes if index is not None)
    found: dict[str, Any] = {
        "page": str(target),
        "bytes": target.stat().st_size,
        "runs": [{"path": str(record.path), "state": record.state} for record in records],
        "groups": shown,
        "of_groups": total,
        "seconds": round(time.monotonic() - began, 3),
    }
    return json.dumps(found) if as_json else _summary(records, target, found["bytes"], shown, total)


def serve_report(paths: Sequence[Path], *, port: int) -> None:
    """Serve the page, with every group of the runs, until a signal ends it. Raises UserError kin."""
    from toolrl.serving.site import Site, serve_site  # a page that is written needs no server

    began = time.monotonic()
    runs = ServedRuns(paths)  # what cannot be shown is told before anything listens
    answers = {"groups": runs.groups, "row": runs.row, "group": runs.group}
    seconds = time.monotonic() - began

    def ready(address: str) -> None:
        indexes = [index for index in runs.indexes if index is not None]
        groups, completions = sum(len(index.rows) for index in indexes), sum(index.completions() for index in indexes)
        print(f"{'; '.join(f'{record.name} ({record.state})' for record in runs.records)}")
        print(f"{counted(groups, 'group')}, {counted(completions, 'completion')}, read in {seconds:.1f} s")
        there = address.split("/")[2]
        print(
            f"\nopen it: {address}\n\nonly this machine can; from another: ssh -L {there.split(':')[1]}:{there} HOST. Ctrl-C stops it",
            flush=True,
        )

    serve_site(Site(runs.page, policy(served=True), answers), port=port, ready=ready)


def _summary(records: Sequence[Record], target: Path, num_bytes: int, shown: int, total: int) -> str:
    runs = "; ".join(f"{record.name} ({record.state})" for record in records)
    groups = (
        "no groups (no rollouts)"
        if not total
        else f"all of {counted(total, 'group')}"
        if shown == total
        else f"{shown:,} of {counted(total, 'group')}"
    )
    lines = [f"{target}  {num_bytes / MIB:.1f} MiB", f"  {runs}", f"  {groups}", "", f"open it: {target.resolve().as_uri()}"]
    if shown < total:
        lines.append(f"see all: {shlex.join(('toolrl', 'report', *(str(record.path) for record in records), '--serve'))}")
    return "\n".join(lines)


def _progress() -> Callable[[], None]:
    """Return what is called after each group; it says every few seconds how many there have been."""
    state = {"groups": 0, "told": time.monotonic()}

    def each() -> None:
        state["groups"] += 1
        if time.monotonic() - state["told"] > TOLD_EVERY_S:
            state["told"] = time.monotonic()
            print(f"{state['groups']:,} groups put on the page", file=sys.stderr, flush=True)

    return each
