"""How far a distillation is, on standard error: one line that is rewritten at a terminal, a line now and then in a file.

    812 of 4,000 asked · 301 of 1,000 prompts right · about 3 min to go · 5,230 tokens/s · cost 0.42 · over the limit 31 times, waiting 12 s

A thread of its own looks at the counts, so that a person sees what goes on while nothing comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from toolrl.pipelines.distilling.candidates import Candidates
from toolrl.rollout.faults import Kind
from toolrl.rollout.replies import Ask, Reply
from toolrl.rollout.traffic import Traffic

TERMINAL_S, FILE_S = 0.25, 10.0
"""Seconds between two looks."""


class Progress:
    """Use it as a context manager around the asking.

    Args:
        candidates: Whose verdicts are told.
        there: Replies that were there already.
        wanted: Asks that are wanted at the start.
        traffic: What goes over the line.
        price: What a reply cost; None: no cost is told.
        spent: What the replies that were there cost.
        quiet: Whether to say nothing.
        console: Where to print; None is standard error.
        now: Clock, seconds.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        there: int,
        wanted: int,
        traffic: Traffic,
        price: Callable[[Reply], float] | None = None,
        spent: float = 0.0,
        quiet: bool = False,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._candidates, self._traffic, self._now = candidates, traffic, now
        self._there, self._wanted, self._price, self._spent = there, wanted, price, spent
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        self._thread = None if quiet else threading.Thread(target=self._look, name="progress", daemon=True)
        self._ended = threading.Event()
        self._first_s: float | None = None
        self._tokens = 0
        self.answered = 0
        """Replies since the start."""

    def took(self, reply: Reply, more: Sequence[Ask]) -> None:
        """Count a reply, and the asks that it made necessary."""
        if self._first_s is None:
            self._first_s = self._now()  # what went before was the start of engines
        self.answered += 1
        self._wanted += len(more)
        self._tokens += reply.completion_tokens
        if self._price is not None:
            self._spent += self._price(reply)

    def line(self) -> str:
        """Return what there is to tell."""
        right, prompts = len(self._candidates.right), len(self._candidates.prompts)
        parts = [f"{self._there + self.answered:,} of {self._there + self._wanted:,} asked", f"{right:,} of {prompts:,} prompts right"]
        if not self.answered:
            parts.append("waiting for the first answer")
        elif left := self._wanted - self.answered:
            parts.append(f"about {_time(left * self._seconds / self.answered)} to go")
        if self.answered > 1:
            parts.append(f"{self.tokens_per_s:,.0f} tokens/s")
        if self._price is not None:
            parts.append(f"cost {self._spent:,.2f}")
        return " · ".join([*parts, *self._trouble()])

    @property
    def tokens_per_s(self) -> float:
        """Tokens of completions in a second, from the first answer on."""
        return self._tokens / self._seconds

    @property
    def _seconds(self) -> float:
        return max(self._now() - self._first_s, 1e-3) if self._first_s is not None else 1e-3

    def _trouble(self) -> list[str]:
        faults = dict(self._traffic.faults)
        limited = faults.pop(Kind.LIMITED, 0)
        waiting = f", waiting {held_s:.0f} s" if (held_s := self._traffic.held_for_s()) >= 0.5 else ""
        told = [f"over the limit {limited:,} times{waiting}"] if limited else []
        return [*told, f"{again:,} sent again"] if (again := sum(faults.values())) else told

    def __enter__(self) -> Progress:
        if self._thread is not None:
            if self._live is not None:
                self._live.start()
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            if self._live is not None:
                self._live.stop()
            if error is None or self.answered:
                self._console.print(Text(self.line()))

    def _look(self) -> None:
        while not self._ended.wait(TERMINAL_S if self._live is not None else FILE_S):
            if self._live is not None:
                self._live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)
            else:
                self._console.print(Text(self.line()))


def _time(seconds: float) -> str:
    """Return a time as a person says it.

    >>> _time(59), _time(200), _time(9000)
    ('59 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
