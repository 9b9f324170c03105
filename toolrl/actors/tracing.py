"""A trace of chosen versions: what every actor did between the version before and this one, in a file of the run's folder.

    Sink.write(version) ─ chosen? ─> a thread: spans of the driver and of every actor ─> RUN/traces/version-000012.json

Every process keeps its newest spans anyway, so nobody waits for a trace: the loop goes on while it is written. An actor that does not
answer is missing, and the file says so.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from toolrl.monitor.durable import replace_text
from toolrl.monitor.trace import SPANS, Span, chrome_trace
from toolrl.types import WeightVersion

TRACES = "traces"
PART = re.compile(r"weights/\w+_s")
ANSWER_S = 30.0
"""Longest wait for an actor's spans: a reward worker answers after the groups it has."""
WRITTEN_S = 40.0
"""Longest wait, at the end of a run, for traces that are still gathered or written: a file system may never answer."""

logger = logging.getLogger(__name__)


def push_parts(driver: Sequence[Span], metrics: Mapping[str, float]) -> list[Span]:
    """Return the parts of the last push among the driver's spans, one behind the other, as its metrics say."""
    push = next((span for span in reversed(driver) if span.name == "push"), None)
    parts = {name: metrics[name] for name in metrics if PART.fullmatch(name) and name != "weights/push_s"}
    if push is None or sum(parts.values()) > push.seconds:
        return []
    found, start = [], push.start
    for name, seconds in parts.items():
        found.append(Span(f"push: {name.removeprefix('weights/').removesuffix('_s')}", start, seconds, {}))
        start += seconds
    return found


class TraceSink:
    """Writes the trace of each chosen version.

    Args:
        folder: Of the run.
        chosen: Versions.
        actors: Returns the actors to ask, by name, each with a method `spans`.
    """

    def __init__(self, folder: Path, chosen: Sequence[range], actors: Callable[[], Mapping[str, Any]]) -> None:
        self._folder = folder
        self._chosen = tuple(chosen)
        self._actors = actors
        self._since = time.time()
        self._writing: list[threading.Thread] = []

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Begin to write the trace of `version`, if it is chosen."""
        since, self._since = self._since, time.time()
        if not any(version in each for each in self._chosen):
            return
        calls = {name: actor.spans.remote(since) for name, actor in self._actors().items()}
        driver = SPANS.since(since)
        arguments = (version, {"driver": [*driver, *push_parts(driver, metrics)]}, calls)
        self._writing = [thread for thread in self._writing if thread.is_alive()]
        self._writing.append(threading.Thread(target=self._gather, args=arguments, name=f"trace of version {version}", daemon=True))
        self._writing[-1].start()

    def close(self) -> None:
        """Wait until what was begun is written, for `WRITTEN_S` at most."""
        end = time.monotonic() + WRITTEN_S
        for thread in self._writing:
            thread.join(max(end - time.monotonic(), 0.0))
            if thread.is_alive():
                logger.warning("%s: not written within %g s, given up", thread.name, WRITTEN_S)

    def _gather(self, version: WeightVersion, found: dict[str, list[Span]], calls: Mapping[str, Any]) -> None:
        end = time.monotonic() + ANSWER_S
        missing = []
        for name, call in calls.items():
            try:
                found[name] = ray.get(call, timeout=max(end - time.monotonic(), 0.0))
            except RayError as error:
                missing.append(name)
                logger.warning("trace of version %d: nothing from %s: %s", version, name, error)
        facts = {"run": self._folder.name, "missing": ", ".join(missing)}
        path = self._folder / TRACES / f"version-{version:06d}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            replace_text(path, json.dumps(chrome_trace(version, found, facts)) + "\n")
        except OSError as error:  # the disk is full, say: the run has other troubles then
            logger.warning("trace of version %d: %s cannot be written: %s", version, path, error)
