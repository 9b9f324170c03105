"""The command that looks at a run while it goes on: watch."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any


def add_watch(parsers: Any) -> None:
    """Add `toolrl watch`."""
    about = "watch a run, live, ended or killed, from its folder alone"
    description = "Watch a run, live, ended or killed, from its folder alone. Keys: q quits, ? tells the others. In a pipe: one page."
    parser = parsers.add_parser("watch", help=about, description=description)
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="the folder of a run of `toolrl rl` or `toolrl sft`")
    parser.add_argument("--once", action="store_true", help="print one page and end")
    parser.add_argument("--json", action="store_true", help="print it as JSON and end")
    parser.set_defaults(run=_watch)


def _watch(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.watch import watch

    width = shutil.get_terminal_size().columns
    return watch(arguments.run_dir, once=arguments.once, as_json=arguments.json, width=width, out=sys.stdout)
