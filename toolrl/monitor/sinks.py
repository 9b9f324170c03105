"""Where metrics go: several sinks at once, and a person at a terminal.

Sink.write(version, metrics) ─> ManySinks ─> JsonlSink (lines), ConsoleSink, TensorBoardSink, WandbSink
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from rich.console import Console
from rich.text import Text

from toolrl.monitor.lines import JsonlSink
from toolrl.protocols import Sink
from toolrl.types import WeightVersion

__all__ = ["ConsoleSink", "JsonlSink", "ManySinks"]

HEADER_EVERY = 20
"""Lines after which the header is repeated."""
STAGES = (("gen", "wait_generation"), ("learn", "learner"), ("push", "push"), ("eval", "eval"), ("ckpt", "checkpoint"))
Metrics = Mapping[str, float]


class ManySinks:
    """Passes everything to several sinks, in order; the one that must not lose anything comes first."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, version: WeightVersion, metrics: Metrics) -> None:
        """Write to each sink."""
        for sink in self._sinks:
            sink.write(version, metrics)

    def close(self) -> None:
        """Close each sink, even where one fails."""
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.close)


def shown(*names: str) -> Callable[[Metrics], str]:
    """Show metrics as 0.123, parted by a slash; nothing where the first is missing."""
    return lambda m: "/".join(f"{m[name]:.3f}" if name in m else "-" for name in names) if names[0] in m else ""


def _drift(m: Metrics) -> str:
    if "drift/completion_tokens" not in m:
        return ""
    form = f"/{m['drift/format_right']:+.2f}" if "drift/format_right" in m else ""
    return f"×{m['drift/completion_tokens']:.2f}{form}"


def _staleness(m: Metrics) -> str:
    return f"{m['loop/staleness_mean']:.1f}/{m['loop/staleness_max']:.0f}" if "loop/staleness_max" in m else ""


def stages(m: Metrics) -> str:
    """Show the seconds of each stage that took any."""
    seconds = ((label, m.get(f"loop/{name}_s", 0.0)) for label, name in STAGES)
    return " ".join(f"{label} {_brief(s)}" for label, s in seconds if s > 0)


def _brief(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


Columns = tuple[tuple[str, int, Callable[[Metrics], str]], ...]
COLUMNS: Columns = (
    ("reward", 7, shown("reward/mean")),
    ("form/content", 13, shown("reward/format_right", "reward/content_right")),
    ("held-out", 9, shown("heldout/reward")),
    ("greedy", 7, shown("heldout/greedy")),
    ("form/content", 13, shown("heldout/format_right", "heldout/content_right")),
    ("len/form", 11, _drift),
    ("stale", 6, _staleness),
    ("comp/s", 7, lambda m: f"{m['loop/completions_per_s']:.1f}" if "loop/completions_per_s" in m else ""),
    ("  seconds", 0, lambda m: "  " + stages(m)),
)
"""Title, width (0: to the end of the line), and what to show. `len/form`: length and form against the first version trained."""


class ConsoleSink:
    """One line for each version; coloured at a terminal, plain in a file.

    Args:
        steps: Version at which the run ends.
        file: Where to print; None is standard output.
        columns: What to show.
    """

    def __init__(self, steps: int, file: IO[str] | None = None, *, columns: Columns = COLUMNS) -> None:
        self._columns = columns
        self._console = Console(file=file, soft_wrap=True, highlight=False)
        self._steps = steps
        self._width = max(len(f"{steps}/{steps}"), len("step"))
        self._lines = 0

    def write(self, version: WeightVersion, metrics: Metrics) -> None:
        """Print the line of `version`, under a header now and then."""
        if self._lines % HEADER_EVERY == 0:
            cells = ["step".rjust(self._width), *(_cell(title, width) for title, width, _ in self._columns)]
            self._console.print(Text("".join(cells), style="bold"))
        self._lines += 1
        cells = [f"{version}/{self._steps}".rjust(self._width), *(_cell(show(metrics), width) for _, width, show in self._columns)]
        self._console.print(Text("".join(cells).rstrip(), style="green" if any(name.startswith("heldout/") for name in metrics) else ""))

    def close(self) -> None:
        """Nothing is held."""


def _cell(text: str, width: int) -> str:
    return " " + text.rjust(width) if width else text
