"""The commands on recipes: run, table."""

from __future__ import annotations

import argparse
import shutil
from typing import Any

_WORDS = "size=tiny|7b|14b, out=DIR, seed=N, VALUE=… of the recipe, or a setting as STAGE.section.key=…"


def add_run(parsers: Any) -> None:
    """Add `toolrl run`."""
    about = "do every step of a recipe: a row of one of the paper's tables, a whole table, or your own"
    parser = parsers.add_parser("run", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file; those of the paper ship as recipes/table3.yaml, …")
    parser.add_argument("words", nargs="*", default=[], metavar="NAME=VALUE", help=_WORDS)
    parser.add_argument("--dry-run", action="store_true", help="check every step, print them, and start nothing")
    parser.add_argument("--json", action="store_true", help="end with the table as one JSON line")
    parser.set_defaults(run=_run, stopped=("the same command goes on where it was",))


def add_table(parsers: Any) -> None:
    """Add `toolrl table`."""
    about = "print what is done of a recipe as a table, beside the paper's numbers"
    parser = parsers.add_parser("table", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("recipe", metavar="RECIPE", help="as in `toolrl run`")
    parser.add_argument("words", nargs="*", default=[], metavar="NAME=VALUE", help="those that it was run with")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--markdown", action="store_true", help="print it for a document")
    how.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_table)


def _run(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.run import run

    width = shutil.get_terminal_size().columns
    return run(arguments.recipe, arguments.words, dry_run=arguments.dry_run, as_json=arguments.json, width=width)


def _table(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.table import table

    width = shutil.get_terminal_size().columns
    print(table(arguments.recipe, arguments.words, markdown=arguments.markdown, as_json=arguments.json, width=width))
    return 0
