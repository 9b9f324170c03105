"""The commands on what was learned: replay."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any


def add_replay(parsers: Any) -> None:
    """Add `toolrl replay`."""
    about = "train a sample of a run again, and show it from tokens to loss and gradient"
    parser = parsers.add_parser("replay", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="the folder of a run that has ended")
    parser.add_argument("sample", metavar="DRAW:SAMPLE", help="the sample, as in 37:2; `toolrl explain RUN` lists them")
    given = "what the replay runs on, where it is not what the run had: cluster.*, learner.threads, model.path, …"
    parser.add_argument("settings", nargs="*", default=[], metavar="KEY=VALUE", help=given)
    lost = "a sample of discarded/attempt-K: of a batch that could not be trained, or that the run went back over"
    parser.add_argument("--attempt", type=int, metavar="K", help=lost)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_replay, stopped=("nothing was written",))


def _replay(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.replay import replay

    width = shutil.get_terminal_size().columns
    given = (arguments.run_dir, arguments.sample, arguments.settings)
    print(replay(*given, attempt=arguments.attempt, as_json=arguments.json, width=width, say=_say))
    return 0


def _say(progress: str) -> None:
    """Tell progress beside the result, which may be piped."""
    print(progress, file=sys.stderr, flush=True)
