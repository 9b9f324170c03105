"""The command that finds what is wrong: doctor."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any


def add_doctor(parsers: Any) -> None:
    """Add `toolrl doctor`."""
    about = "find what is wrong with this machine, a cluster, or a run: who, why, and what to do next"
    parser = parsers.add_parser("doctor", help=about, description=f"{about[0].upper()}{about[1:]}.")
    run = "the folder of a run in progress, or of a dead one; left out: this machine, before a run"
    parser.add_argument("run_dir", type=Path, nargs="?", metavar="RUN", help=run)
    parser.add_argument("--cluster", default="", metavar="ADDRESS", help="look at the nodes of a Ray cluster, as HEAD:6379")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_doctor, stopped=("nothing was written",))


def _doctor(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.doctor import doctor

    width = shutil.get_terminal_size().columns
    return doctor(arguments.run_dir, arguments.cluster, json_wanted=arguments.json, width=width, say=_say)


def _say(progress: str) -> None:
    """Tell progress beside the result, which may be piped."""
    print(progress, file=sys.stderr, flush=True)
