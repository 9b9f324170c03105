"""How far the asking is, for a person at a terminal: a line every few seconds, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import IO

from toolrl.rollout.replies import Ask, Reply

EVERY_S = 5.0


class Progress:
    """Counts replies and tells of them now and then.

    Args:
        total: Completions wanted.
        there: Those that are there already.
        quiet: Whether to say nothing.
        file: Where to print; None is standard error.
        now: Clock, seconds.
    """

    def __init__(
        self, total: int, there: int, *, quiet: bool = False, file: IO[str] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._there, self._quiet, self._file, self._now = total, there, quiet, file, now
        self._start = self._last = 0.0
        """The first reply, and the line before."""
        self._done = self._tokens = 0
        if there:
            self._say(f"{there:,} of {total:,} completions are there already")

    def told(self, ask: Ask, reply: Reply) -> None:
        """Count a reply."""
        if not self._done:
            self._start = self._last = self._now()  # what went before was the start of engines
        self._done += 1
        self._tokens += reply.completion_tokens
        if self._now() - self._last >= EVERY_S:
            self._line()

    def end(self) -> None:
        """Tell of all of it, if anything was asked."""
        if self._done:
            self._line()

    def _line(self) -> None:
        self._last = self._now()
        seconds = max(self._last - self._start, 1e-9)
        left = (self._total - self._there - self._done) * seconds / self._done
        self._say(
            f"{self._there + self._done:,} of {self._total:,} completions, {self._tokens / seconds:,.0f} tokens/s, "
            + (f"about {left:.0f} s to go" if left else f"{seconds:.0f} s")
        )

    def _say(self, line: str) -> None:
        if not self._quiet:
            print(line, file=self._file or sys.stderr, flush=True)
