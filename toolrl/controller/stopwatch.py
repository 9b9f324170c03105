"""Where the seconds between two lines of metrics went, and where they are going now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolrl.monitor.trace import SPANS

STAGES = ("wait_generation", "learner", "push", "eval", "checkpoint")
WORDS = {"wait_generation": "generation", "learner": "learner step", "checkpoint": "save"}
"""What a trace calls a stage, where it is not its name."""


class Stopwatch:
    """Adds up seconds by stage; `lap` returns them and starts anew.

    Args:
        clock: Seconds from any origin, never going back.
        on_stage: Told the name of each stage that is entered or gone back to; an empty one between two stages. The stage that a failure
            ended stays the last one told.
    """

    def __init__(self, clock: Callable[[], float], on_stage: Callable[[str], None] = lambda name: None) -> None:
        self._clock = clock
        self._on_stage = on_stage
        self._now = ""
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._start = clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside as that of stage `name`, one of `STAGES`."""
        start, outer = self._clock(), self._now
        self._enter(name)
        with SPANS.span(WORDS.get(name, name)):
            yield
        self._seconds[name] += self._clock() - start
        self._enter(outer)

    def lap(self) -> dict[str, float]:
        """Return `loop/<stage>_s`, and `loop/step_s`: everything since the last lap but evaluation."""
        now, seconds = self._clock(), self._seconds
        metrics = {f"loop/{name}_s": value for name, value in seconds.items()}
        metrics["loop/step_s"] = now - self._start - seconds["eval"]
        self._start, self._seconds = now, dict.fromkeys(STAGES, 0.0)
        return metrics

    def _enter(self, name: str) -> None:
        self._now = name
        self._on_stage(name)
