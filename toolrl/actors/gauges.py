"""The metrics on Ray's endpoint: of each version from the driver, and between versions from the actors themselves.

    Sink.write(version, metrics) ─> VersionGauges ─┐
    an engine, a worker, a rank, the driver        ├─ ray.util.metrics ─> the node's agent ─> http://node:port/metrics ─> Prometheus
      its own counters, every few seconds ─> Live ─┘

What is said is in the tables of `monitor.metrics`, and what it is called there in `monitor.exported`. The thread of an actor only reads
numbers that it keeps anyway. The number of series is bounded by the tables and the actors, never by the steps.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import psutil  # type: ignore[import-untyped]
import ray
from ray.util import metrics as ray_metrics

from toolrl.monitor.exported import RUN, description, exported_name, label_of, labels_of, series
from toolrl.monitor.metrics import Kind, Metric, describe
from toolrl.types import WeightVersion

EVERY_S = 5.0
"""Time between two readings of an actor. Ray passes on every ten seconds what was said since the last time, so each gauge is said anew."""
BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Upper bounds of a latency's histogram."""
Reading = tuple[str, Mapping[str, str], float]
"""Name in the table, labels beside `run`, value; of a counter its total so far."""

logger = logging.getLogger(__name__)


class Instruments:
    """Ray's instruments of one process, each made when it is first used.

    Args:
        run: Name of the run; whoever outlives a run may change it.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._made: dict[str, Any] = {}
        self._totals: dict[tuple[str, tuple[str, ...]], float] = {}
        """What was added to each counter so far, of whichever run: to a run goes what was done for it, and nothing of before."""

    def say(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        """Set a gauge, bring a counter to a total, or add one observation to a histogram."""
        tags = {RUN: label_of(self.run), **labels}
        instrument = self._made.get(metric.name) or self._make(metric)
        if metric.kind is Kind.COUNTER:
            key = metric.name, tuple(labels.values())
            grown = value - self._totals.get(key, 0.0)
            if grown > 0:
                instrument.inc(grown, tags)
                self._totals[key] = value
        elif metric.kind is Kind.HISTOGRAM:
            instrument.observe(value, tags)
        else:
            instrument.set(value, tags)

    def _make(self, metric: Metric) -> Any:
        name, labels = exported_name(metric), labels_of(metric)
        if metric.kind is Kind.HISTOGRAM:
            made = ray_metrics.Histogram(name, description(metric), list(BUCKETS_S), labels)
        else:
            made = {Kind.COUNTER: ray_metrics.Counter, Kind.GAUGE: ray_metrics.Gauge}[metric.kind](name, description(metric), labels)
        self._made[metric.name] = made
        return made


class VersionGauges:
    """A sink: the newest value of each metric of a version, said until it is closed.

    Args:
        run: Name of the run.
        attempt: Which attempt to bring it to its end this is.
    """

    def __init__(self, run: str, attempt: int) -> None:
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {("run/attempt", ()): float(attempt)}
        """By name in the table and labels; replaced as a whole, since another thread reads it."""
        self._live = Live(run, self.readings)
        self._live.start()

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Take over the metrics of `version`; one that it does not have keeps its value, but a member of a family is then 0."""
        new = {(each.metric.name, tuple(each.labels.items())): each.value for each in series(metrics)}
        families = {name for name, labels in new if labels}
        kept = {key: 0.0 if key[0] in families else value for key, value in self._values.items()}
        self._values = kept | new | {("run/version", ()): float(version)}

    def readings(self) -> list[Reading]:
        """Return what is said now."""
        return [(name, dict(labels), value) for (name, labels), value in self._values.items()]

    def close(self) -> None:
        """Say it no more: a gauge that is not said again is gone from the endpoint within half a minute."""
        self._live.stop()


class Live:
    """What an actor says of itself between versions: a thread of its own reads it every few seconds until the process ends, or `stop`.

    Args:
        run: Name of the run.
        read: Returns the readings; it is called in the thread. One that fails is told once in the log, and tried again.
        actor: Name of the actor, where its memory is to be said too.
        alone: Whether what it started is left out of its memory: a driver starts the local cluster, in which all others live.
    """

    def __init__(self, run: str, read: Callable[[], Iterable[Reading]], actor: str = "", *, alone: bool = False) -> None:
        self._instruments = Instruments(run)
        self._read = read
        self._actor, self._alone = actor, alone
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._say_on, name="live metrics", daemon=True)

    def start(self) -> None:
        """Begin to say it."""
        self._thread.start()

    def stop(self) -> None:
        """Say it once more, and no more."""
        self._ended.set()
        self._thread.join(EVERY_S)

    def rename(self, run: str) -> None:
        """Belong to another run from now on."""
        with self._lock:
            self._instruments.run = run

    def observe(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Add one observation to a histogram; may be called from any thread. It fails as a reading does: whoever tells of it goes on."""
        self._tell(lambda: [(name, labels, value)])

    def _say_on(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._say()
        self._say()

    def _say(self) -> None:
        self._tell(lambda: [*self._read(), *(_memory(self._actor, alone=self._alone) if self._actor else ())])

    def _tell(self, read: Callable[[], Iterable[Reading]]) -> None:
        try:
            readings = read()
            with self._lock:
                for name, labels, value in readings:
                    self._instruments.say(_live(name), labels, value)
        except Exception:  # whatever it is, what the actor does goes on
            if not self._told:
                logger.exception("live metrics of %s", self._actor or "the driver")
                self._told = True


def _live(name: str) -> Metric:
    metric = describe(name)
    assert metric is not None, name
    return metric


def _memory(actor: str, *, alone: bool) -> list[Reading]:
    """Return what this process holds and, unless `alone`, those it started."""
    own = psutil.Process()
    total = 0
    for process in (own, *([] if alone else own.children(recursive=True))):
        with suppress(psutil.Error):  # it has ended meanwhile
            total += process.memory_info().rss
    return [("actor/memory", {"actor": actor}, float(total))]


def endpoints() -> list[str]:
    """Return where the metrics of each live node of this cluster can be read, as host:port; none where there is no cluster."""
    if not ray.is_initialized():
        return []
    return [
        f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
        for node in ray.nodes()
        if node["Alive"] and node["MetricsExportPort"] > 0
    ]
