"""Supervised training at a terminal: a line every few steps, and for each measurement.

Sink.write(version, metrics) ─> steps gathered ─> mean loss, tokens per second, time left ─> ConsoleSink
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from toolrl.monitor.sinks import Columns, ConsoleSink, shown, stages
from toolrl.types import WeightVersion

LINES = 20
"""Lines of a short run."""
MOST_STEPS = 25
"""Most steps between two lines: a person wants to see that it goes on."""
LEFT_S = "left_s"
"""Seconds to the end, as far as the steps so far tell; of the terminal only."""


def duration(seconds: float) -> str:
    """Return seconds as a person says them: 45s, 3m 20s, 2h 05m."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


COLUMNS: Columns = (
    ("loss", 8, lambda m: f"{m['learner/loss']:.4f}" if "learner/loss" in m else ""),
    ("held-out", 9, lambda m: f"{m['heldout/loss']:.4f}" if "heldout/loss" in m else ""),
    ("greedy", 7, shown("heldout/greedy")),
    ("form/content", 13, shown("heldout/greedy_format_right", "heldout/greedy_content_right")),
    ("tokens/s", 9, lambda m: f"{m['loop/tokens_per_s']:.0f}" if "loop/tokens_per_s" in m else ""),
    ("left", 8, lambda m: duration(m[LEFT_S]) if LEFT_S in m else ""),
    ("  seconds", 0, lambda m: "  " + stages(m)),
)


class SupervisedConsole:
    """One line for the steps since the line before: `loss` is their mean, and seconds are their sum.

    Args:
        steps: Step at which the run ends.
        file: Where to print; None is standard output.
    """

    def __init__(self, steps: int, file: IO[str] | None = None) -> None:
        self._steps = steps
        self._every = max(1, min(MOST_STEPS, steps // LINES))
        self._console = ConsoleSink(steps, file, columns=COLUMNS)
        self._gathered: list[Mapping[str, float]] = []
        self._seconds, self._taken = 0.0, 0

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Gather the metrics of a step, and print a line where one is due."""
        self._gathered.append(metrics)
        if version:
            self._seconds += metrics["loop/step_s"] + metrics["loop/eval_s"]
            self._taken += 1
        measured = any(name.startswith("heldout/") for name in metrics)
        if measured or version % self._every == 0 or version == self._steps:
            self._console.write(version, {**metrics, **self._means(), **self._left(version)})
            self._gathered.clear()

    def close(self) -> None:
        """Nothing is held."""
        self._console.close()

    def _means(self) -> dict[str, float]:
        steps = [metrics for metrics in self._gathered if "learner/loss" in metrics]
        names = {name for metrics in self._gathered for name in metrics if name.startswith("loop/") and name.endswith("_s")}
        sums = {name: sum(metrics.get(name, 0.0) for metrics in self._gathered) for name in names - {"loop/tokens_per_s"}}
        if not steps:
            return sums
        tokens = sum(metrics["learner/tokens"] for metrics in steps)
        rate = {"loop/tokens_per_s": tokens / sums["loop/step_s"]} if sums["loop/step_s"] > 0 else {}
        return {**sums, **rate, "learner/loss": sum(metrics["learner/loss"] for metrics in steps) / len(steps)}

    def _left(self, version: WeightVersion) -> dict[str, float]:
        if not self._taken or version == self._steps:
            return {}
        return {LEFT_S: (self._steps - version) * self._seconds / self._taken}
