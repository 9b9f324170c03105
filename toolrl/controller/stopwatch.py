"""Where the seconds between two lines of metrics went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

STAGES = ("wait_generation", "learner", "push", "eval", "checkpoint")


class Stopwatch:
    """Adds up seconds by stage; `lap` returns them and starts anew.

    Args:
        clock: Seconds from any origin, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._start = clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside as that of stage `name`, one of `STAGES`."""
        start = self._clock()
        yield
        self._seconds[name] += self._clock() - start

    def lap(self) -> dict[str, float]:
        """Return `loop/<stage>_s`, and `loop/step_s`: everything since the last lap but evaluation."""
        now, seconds = self._clock(), self._seconds
        metrics = {f"loop/{name}_s": value for name, value in seconds.items()}
        metrics["loop/step_s"] = now - self._start - seconds["eval"]
        self._start, self._seconds = now, dict.fromkeys(STAGES, 0.0)
        return metrics
