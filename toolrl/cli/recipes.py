"""The commands on recipes: run, table."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from typing import Any

from toolrl.errors import ConfigError

_RECIPES = "YAML files; those of the paper ship as recipes/table3.yaml, …"
_WORDS = "size=tiny|7b|14b, out=DIR, seed=N, VALUE=… of the recipe, or a setting as STAGE.section.key=…"


def add_run(parsers: Any) -> None:
    """Add `toolrl run`."""
    about = "do every step of a recipe: a row of one of the paper's tables, a whole table, or your own"
    parser = parsers.add_parser("run", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("words", nargs="+", metavar="RECIPE|NAME=VALUE", help=f"{_RECIPES}; then {_WORDS}")
    parser.add_argument("--dry-run", action="store_true", help="check every step, print them, and start nothing")
    parser.add_argument("--json", action="store_true", help="end with the table as one JSON line")
    parser.set_defaults(run=_run, stopped=("the same command goes on where it was",))


def add_table(parsers: Any) -> None:
    """Add `toolrl table`."""
    about = "print what is done of a recipe as a table, beside the paper's numbers"
    parser = parsers.add_parser("table", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("words", nargs="+", metavar="RECIPE|NAME=VALUE", help="those of `toolrl run`")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--markdown", action="store_true", help="print it for a document")
    how.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_table)


def _run(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.run import run

    width = shutil.get_terminal_size().columns
    recipes, words = _split(arguments.words)
    return run(recipes, words, dry_run=arguments.dry_run, as_json=arguments.json, width=width)


def _table(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.table import table

    width = shutil.get_terminal_size().columns
    recipes, words = _split(arguments.words)
    print(table(recipes, words, markdown=arguments.markdown, as_json=arguments.json, width=width))
    return 0


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return recipes, and what is said of them. Raises ConfigError where there is no recipe."""
    recipes = [word for word in words if "=" not in word]
    if not recipes:
        raise ConfigError("RECIPE: got none; name one, as in recipes/table3.yaml")
    return recipes, [word for word in words if "=" in word]
