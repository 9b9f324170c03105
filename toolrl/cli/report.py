"""The command that shows runs in a browser: report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_report(parsers: Any) -> None:
    """Add `toolrl report`."""
    about = "write a page about runs: curves, reasons, time, settings, and their groups"
    description = "Write one HTML page about runs, side by side where there are several. It needs a browser and nothing else."
    parser = parsers.add_parser("report", help=about, description=description)
    parser.add_argument(
        "run_dirs", nargs="+", type=Path, metavar="RUN", help="folders of `toolrl rl` or `toolrl sft`, ended or in progress"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: report.html in the first RUN)")
    parser.add_argument("--groups", type=int, metavar="N", help="groups that the page carries at most (default: 5000)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.report import MOST_GROUPS, report

    most = MOST_GROUPS if arguments.groups is None else arguments.groups
    print(report(arguments.run_dirs, out=arguments.out, groups=most, as_json=arguments.json))
    return 0
