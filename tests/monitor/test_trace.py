"""A trace is what the Trace Event Format asks for, and what Perfetto shows as lanes."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.monitor.trace import Span, Spans, chrome_trace


def span(name, start, seconds, **args):
    return Span(name, start, seconds, args)


def complete(trace):
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def test_a_process_for_each_actor_and_what_each_did_in_it():
    driver = [span("push", 100.0, 2.0), span("push: send", 100.5, 1.0)]
    engine = [span("sample draw 7", 98.0, 1.25, draw=7, version=4)]
    trace = chrome_trace(5, {"driver": driver, "engine-0": engine}, {"run": "demo"})
    assert json.loads(json.dumps(trace)) == trace
    assert trace["otherData"] == {"version": "5", "run": "demo"}
    named = {(e["pid"], e["name"]): e["args"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert named[1, "process_name"] == {"name": "driver"}
    assert named[2, "process_name"] == {"name": "engine-0"}
    assert named[2, "thread_name"] == {"name": "engine-0"}
    assert [(e["name"], e["pid"], e["tid"], e["ts"], e["dur"], e["args"]) for e in complete(trace)] == [
        ("push", 1, 1, 100_000_000, 2_000_000, {"version": 5}),
        ("push: send", 1, 1, 100_500_000, 1_000_000, {"version": 5}),
        ("sample draw 7", 2, 1, 98_000_000, 1_250_000, {"version": 4, "draw": 7}),
    ]


def test_what_overlaps_is_in_lanes_of_its_own_and_what_follows_comes_back_to_the_first():
    draws = [span("a", 0.0, 2.0), span("b", 1.0, 2.0), span("c", 2.0, 0.5), span("d", 2.25, 1.0)]
    lanes = {event["name"]: event["tid"] for event in complete(chrome_trace(1, {"engine-0": draws}, {}))}
    assert lanes == {"a": 1, "b": 2, "c": 1, "d": 3}


def test_a_draw_is_not_shown_as_part_of_another_but_a_call_as_part_of_a_call():
    draws = [span("sample draw 1", 0.0, 4.0, draw=1), span("sample draw 2", 1.0, 1.0, draw=2), span("sample draw 3", 2.5, 1.0, draw=3)]
    lanes = {event["name"]: event["tid"] for event in complete(chrome_trace(1, {"engine-0": draws}, {}))}
    assert lanes == {"sample draw 1": 1, "sample draw 2": 2, "sample draw 3": 2}
    calls = [span("step", 0.0, 4.0), span("forward", 1.0, 1.0, draws="1,2")]
    assert {event["tid"] for event in complete(chrome_trace(1, {"learner-0": calls}, {}))} == {1}


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 3)), max_size=30))
def test_two_spans_of_a_lane_are_apart_or_one_is_in_the_other(spans):
    events = complete(chrome_trace(1, {"engine-0": [span("x", start, seconds) for start, seconds in spans]}, {}))
    assert len(events) == len(spans)
    for i, one in enumerate(events):
        assert one["dur"] >= 1
        for other in events[i + 1 :]:
            if one["tid"] == other["tid"]:
                (a, b), (c, d) = ((e["ts"], e["ts"] + e["dur"]) for e in (one, other))
                assert b <= c or d <= a or (a <= c and d <= b) or (c <= a and b <= d)


def test_spans_are_bounded_and_only_the_newest_are_kept():
    spans = Spans(kept=3)
    for number in range(10):
        spans.add(f"{number}", 0.0)
    assert [each.name for each in spans.since(0.0)] == ["7", "8", "9"]


def test_what_ended_before_is_left_out():
    spans = Spans()
    spans.add("before", 1.0)
    now = time.time()
    with spans.span("after", draw=3):
        pass
    (found,) = spans.since(now)
    assert (found.name, found.args) == ("after", {"draw": 3})
    assert 0 <= found.seconds < 1


def test_what_fails_is_there_too():
    spans = Spans()
    with pytest.raises(RuntimeError), spans.span("fails"):
        raise RuntimeError
    assert [each.name for each in spans.since(0.0)] == ["fails"]
