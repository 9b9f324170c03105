"""How far completions have moved from those of the first version trained: longer, cut short, of another form.

    Sink.write(version, metrics) ─> DriftSink ─> the same metrics and drift/* ─> the sinks behind it

Shown and never an alarm: what a reward teaches may well be longer or shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from toolrl.protocols import Sink
from toolrl.types import WeightVersion

LENGTH = "rollout/completion_tokens_mean"
DIFFERENCES = {"drift/format_right": "reward/format_right", "drift/truncated_share": "rollout/truncated_share"}
Metrics = Mapping[str, float | None]


class Drift:
    """Compares the metrics of each version with those of the first that was trained.

    Args:
        before: Metrics of the versions so far, in order, where a run is resumed.
    """

    def __init__(self, before: Iterable[Metrics] = ()) -> None:
        self._first = next((metrics for metrics in before if metrics.get(LENGTH) is not None), None)

    def of(self, metrics: Metrics) -> dict[str, float]:
        """Return the drift of a version: of the first trained none yet, and nothing where nothing was trained."""
        length = metrics.get(LENGTH)
        if length is None:
            return {}
        first = self._first = self._first or metrics
        then = first.get(LENGTH)
        drift = {name: _less(metrics.get(source), first.get(source)) for name, source in DIFFERENCES.items()}
        drift["drift/completion_tokens"] = length / then if then else None
        return {name: value for name, value in drift.items() if value is not None}


def _less(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None else now - then


class DriftSink:
    """Adds the drift to the metrics of each version and passes them on."""

    def __init__(self, sink: Sink, drift: Drift) -> None:
        self._sink = sink
        self._drift = drift

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Write `metrics` and their drift to the sink behind."""
        self._sink.write(version, {**metrics, **self._drift.of(metrics)})

    def close(self) -> None:
        """Close the sink behind."""
        self._sink.close()
