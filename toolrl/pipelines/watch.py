"""`toolrl watch RUN`: a run as it goes on, in a terminal; one page of the same where there is none.

folder ─> WatchedRun ─┬─ a terminal: live, with keys
                      ├─ a pipe, or --once: a page of plain text
                      └─ --json: one line of JSON
"""

from __future__ import annotations

import json
import sys
import time
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import IO

from rich.console import Console

from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.live import watch_live
from toolrl.pipelines.watching.screen import Moment, page
from toolrl.pipelines.watching.snapshot import snapshot
from toolrl.pipelines.watching.watched import WatchedRun


def watch(path: Path, *, once: bool, as_json: bool, width: int, out: IO[str]) -> int:
    """Show the run in folder `path` on `out`, `width` columns wide where it is a page. Raises RunFolderError."""
    run = WatchedRun(path)
    if isinstance(out, TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal that does not know a sign shows another, and goes on
    console = Console(file=out, highlight=False)
    live = not once and not as_json and console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    if live:
        watch_live(run, console, sys.stdin.fileno())
        return 0
    browser, moment = Browser(path, run.groups), Moment(time.time(), time.monotonic())
    if as_json:
        print(json.dumps(snapshot(run, browser, moment)), file=out)
        return 0
    plain = Console(file=StringIO(), width=width, color_system=None, force_terminal=False, highlight=False)
    with plain.capture() as captured:
        plain.print(page(run, browser, moment, width))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), file=out)
    return 0
