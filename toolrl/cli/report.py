"""The command that shows runs in a browser: report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from toolrl.errors import ConfigError


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
    parser.add_argument("--serve", action="store_true", help="serve the page with all groups to this machine's browser, and write nothing")
    parser.add_argument("--port", type=int, metavar="N", help="of --serve: port on loopback, 0: one that is free (default: 8010)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.report import MOST_GROUPS, PORT, report, serve_report

    if arguments.serve:
        _refuse(arguments, "--serve writes no page", "out", "groups", "json")
        serve_report(arguments.run_dirs, port=PORT if arguments.port is None else arguments.port)
        return 0
    _refuse(arguments, "only --serve listens", "port")
    most = MOST_GROUPS if arguments.groups is None else arguments.groups
    print(report(arguments.run_dirs, out=arguments.out, groups=most, as_json=arguments.json))
    return 0


def _refuse(arguments: argparse.Namespace, why: str, *names: str) -> None:
    """Raise ConfigError where an option is given that means nothing here."""
    given = [f"--{name}" for name in names if getattr(arguments, name) not in (None, False)]
    if given:
        raise ConfigError(f"{', '.join(given)}: {why}; leave it out")
