"""The commands on rewards: score."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_score(parsers: Any) -> None:
    """Add `toolrl score`."""
    parser = parsers.add_parser("score", help="verify completions from a file", description="Verify completions: one verdict a line.")
    parser.add_argument("input", type=Path, metavar="IN.jsonl", help='lines of {"id", "tools", "reference", "text"}')
    parser.add_argument("--mode", default="strict", help="strict (default) or paper")
    parser.add_argument("--no-call", default="either", help="what answers an empty reference: list, text or either (default)")
    parser.set_defaults(run=_score)


def _score(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.score import score_file

    score_file(arguments.input, mode=arguments.mode, no_call=arguments.no_call, out=sys.stdout)
    return 0
