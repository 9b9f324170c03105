"""`toolrl COMMAND …`: reads the command line, runs one pipeline, and turns its outcome into an exit code.

0: it worked. 1: the run failed. 2: the user must change something, and the message says what.
A command imports its pipeline only when it runs, so `--help` starts at once and without torch.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from toolrl import __version__
from toolrl.cli import commands
from toolrl.errors import ToolRLError


class _Parser(argparse.ArgumentParser):
    """Answers an unknown command with the nearest one, in one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to look, and exit with 2."""
        if message.startswith("argument COMMAND: invalid choice"):
            got = message.split("'")[1]
            close = difflib.get_close_matches(got, commands.NAMES, n=1)
            message = f"unknown command {got!r}" + (f"; did you mean {close[0]!r}?" if close else "")
        self.exit(2, f"toolrl: {message}; see `{self.prog} --help`\n")


class _Command(_Parser):
    """The parser of one command, whose values may stand before, between and after its options."""

    _intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the options first, then the values; the parser of the standard library takes only the first stretch of them."""
        if self._intermixed:  # its own two passes come back here
            return super().parse_known_args(args, namespace)
        self._intermixed = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(prog="toolrl", description="Train language models to call tools, by reinforcement learning with a verifiable reward.")
    parser.add_argument("--version", action="version", version=f"toolrl {__version__}")
    commands.add_to(parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Command))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ToolRLError as error:
        print(_shown("\n  ".join([f"toolrl: {error}", *getattr(error, "__notes__", ())])), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("; ".join(("toolrl: stopped by the keyboard", *getattr(arguments, "stopped", ()))), file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _shown(message: str) -> str:
    r"""Return a message as a terminal may have it: what came out of a file could move its cursor, or ring its bell.

    >>> _shown("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\nc'
    """
    return "".join(char if char == "\n" or char.isprintable() else repr(char)[1:-1] for char in message)
