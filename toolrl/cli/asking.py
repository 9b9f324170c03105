"""The commands that ask a model: distill."""

from __future__ import annotations

import argparse
import shutil
from typing import Any


def add_distill(parsers: Any) -> None:
    """Add `toolrl distill`."""
    about = "sample a stronger model, and keep what the verifier calls right as demonstrations"
    parser = parsers.add_parser("distill", help=about, description=f"{about[0].upper()}{about[1:]}.")
    given = "YAML files, merged left to right, then overrides as section.name=value; `toolrl config --command distill`"
    parser.add_argument("settings", nargs="+", metavar="CONF|KEY=VALUE", help=given)
    parser.add_argument("--dry-run", action="store_true", help="check everything, print it, and ask nobody")
    parser.add_argument("--json", action="store_true", help="print report.json, and no progress")
    parser.set_defaults(run=_distill, stopped=("what was answered is kept, and the same command asks for the rest",))


def _distill(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.distill import run_distill

    width = shutil.get_terminal_size().columns
    return run_distill(arguments.settings, dry_run=arguments.dry_run, as_json=arguments.json, width=width)
