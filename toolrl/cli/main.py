"""`toolrl COMMAND …`: reads the command line, runs one pipeline, and turns its outcome into an exit code.

0: it worked. 1: the run failed. 2: the user must change something, and the message says what.
A command imports its pipeline only when it runs, so `--help` starts at once and without torch.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn

from toolrl import __version__
from toolrl.cli import commands
from toolrl.errors import ToolRLError


class _Parser(argparse.ArgumentParser):
    """Answers an unknown command with the nearest one, in one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to look, and exit with 2."""
        if "invalid choice" in message:
            got = message.split("'")[1]
            close = difflib.get_close_matches(got, commands.NAMES, n=1)
            message = f"unknown command {got!r}" + (f"; did you mean {close[0]!r}?" if close else "")
        self.exit(2, f"toolrl: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _Parser(prog="toolrl", description="Train language models to call tools, by reinforcement learning with a verifiable reward.")
    parser.add_argument("--version", action="version", version=f"toolrl {__version__}")
    commands.add_to(parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser))
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ToolRLError as error:
        print(f"toolrl: {error}", *getattr(error, "__notes__", ()), sep="\n  ", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "toolrl: stopped by the keyboard; the same command goes on from the newest checkpoint",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
