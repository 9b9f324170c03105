"""docs/commands.md: every command with its arguments, made from the parsers themselves."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from html import escape

HEAD = """\
# Commands

Made by `make docs` from the command line itself; a test compares it. `toolrl COMMAND --help` prints the same. Values may stand before,
between and after options. Exit codes: 0, it worked; 1, the run failed; 2, you must change something, and the message says what; 75, stopped
by SIGTERM after a checkpoint; 130, by Ctrl-C. Settings of the commands that take `CONF|KEY=VALUE`: [settings](settings.md)."""


def commands_page(parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """Return the page of the commands `parsers`, in their order."""
    return "\n\n".join((HEAD, *(_section(name, parser) for name, parser in parsers.items())))


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    required = [_shown(action) for action in actions if action.required]
    optional = " [options]" if len(required) < len(actions) else ""
    table = "\n".join(("| argument | meaning |", "|---|---|", *(_row(parser, action) for action in actions)))
    return f"## `toolrl {name}`\n\n{parser.description}\n\n`{' '.join(['toolrl', name, *required])}{optional}`\n\n{table}"


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    told = (action.help or "") % {**vars(action), "prog": parser.prog}
    for group in parser._mutually_exclusive_groups:
        if action in group._group_actions:
            told += "; not with " + " or ".join(f"`{_shown(other)}`" for other in group._group_actions if other is not action)
    return f"| {_code(_shown(action))} | {_cell(told)} |"


def _shown(action: argparse.Action) -> str:
    """Return an argument as it is written: `--out DIR`, `IN…` for several."""
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    value = "" if action.nargs == 0 else str(action.metavar or choices or action.dest.upper())
    several = "…" if action.nargs in ("+", "*") else ""
    return " ".join(filter(None, (action.option_strings[-1] if action.option_strings else "", value + several)))


def _code(text: str) -> str:
    """A bar within backticks ends the cell on GitHub, and an escaped one keeps its backslash on the site."""
    return f"<code>{escape(text).replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _cell(text: str) -> str:
    """A bar would begin another column."""
    return text.replace("|", "\\|")
