"""What each part of a run was doing when, as a file that Perfetto and chrome://tracing read.

    with SPANS.span("forward", draws="3,7"): …      in every process: the newest few thousand are kept, whether anybody asks or not
    SPANS.since(t) of every actor ─> chrome_trace ─> {"traceEvents": […]}: a process for each actor, with as many lanes as it does at once

The form is that of the Trace Event Format (complete events `X`, metadata `M`; time in microseconds). Times are each machine's own clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

KEPT = 8192
"""Spans of one process: a step of some thousand draws. One takes about 300 bytes."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that a process did."""

    name: str
    start: float  # seconds since 1970
    seconds: float
    args: Mapping[str, str | int | float]


class Spans:
    """The newest spans of a process. May be added to from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        self._spans: deque[Span] = deque(maxlen=kept)

    def add(self, name: str, seconds: float, **args: str | int | float) -> None:
        """Add what has ended just now and took so long."""
        self._spans.append(Span(name, time.time() - seconds, seconds, args))

    @contextmanager
    def span(self, name: str, **args: str | int | float) -> Iterator[None]:
        """Add the body, even if it fails."""
        start, tick = time.time(), time.perf_counter()
        try:
            yield
        finally:
            self._spans.append(Span(name, start, time.perf_counter() - tick, args))

    def since(self, start: float) -> list[Span]:
        """Return what ended after `start`, seconds since 1970, in the order it ended."""
        return [span for span in self._spans.copy() if span.start + span.seconds > start]


SPANS = Spans()
"""Of this process."""


def chrome_trace(version: int, actors: Mapping[str, Sequence[Span]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trace of a version as JSON.

    Args:
        version: That was made.
        actors: Spans by actor, in the order in which they are shown.
        facts: Of the whole file, for who reads it.
    """
    events: list[dict[str, Any]] = []
    for pid, (actor, spans) in enumerate(actors.items(), start=1):
        events.append({"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": actor}})
        events.append({"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": pid}})
        lanes = _lanes(spans)
        for tid, lane in enumerate(lanes, start=1):
            name = actor if tid == 1 else f"{actor}, at once {tid}"
            events.append({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}})
            events += [_event(span, version, pid, tid) for span in lane]
    return {"displayTimeUnit": "ms", "otherData": {"version": str(version), **facts}, "traceEvents": events}


def _event(span: Span, version: int, pid: int, tid: int) -> dict[str, Any]:
    start, end = _microseconds(span)
    args = {"version": version, **span.args}
    return {"ph": "X", "cat": "toolrl", "name": span.name, "pid": pid, "tid": tid, "ts": start, "dur": end - start, "args": args}


def _microseconds(span: Span) -> tuple[int, int]:
    start = round(span.start * 1e6)
    return start, start + max(round(span.seconds * 1e6), 1)


def _lanes(spans: Sequence[Span]) -> list[list[Span]]:
    """Share spans out so that any two of a lane are apart or one within the other, as the format asks; two draws are always apart."""
    lanes: list[tuple[list[Span], list[int]]] = []
    """Of each what is in it, and the ends of what is open at the moment, innermost last."""
    for span in sorted(spans, key=lambda each: (_microseconds(each)[0], -_microseconds(each)[1])):
        start, end = _microseconds(span)
        for _, ends in lanes:
            while ends and ends[-1] <= start:
                ends.pop()
        alone = "draw" in span.args  # one draw is no part of another, whatever their times say
        lane, ends = next((each for each in lanes if not each[1] or (not alone and end <= each[1][-1])), ([], []))
        if not lane:
            lanes.append((lane, ends))
        lane.append(span)
        ends.append(end)
    return [lane for lane, _ in lanes]
