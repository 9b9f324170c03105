"""Traces of chosen versions, from fakes of what actors answer."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from ray.exceptions import GetTimeoutError

from toolrl.actors import tracing
from toolrl.actors.tracing import TraceSink, push_parts
from toolrl.monitor.trace import SPANS, Span


@pytest.fixture
def ray(monkeypatch):
    def get(call, timeout):
        if isinstance(call, Exception):
            raise call
        return call

    monkeypatch.setattr(tracing.ray, "get", get)


def actor(answer, asked=None):
    def spans(since):
        if asked is not None:
            asked.append(since)
        return answer

    return SimpleNamespace(spans=SimpleNamespace(remote=spans))


def names(path):
    events = json.loads(path.read_text())["traceEvents"]
    lanes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    return {(lanes[event["pid"]], event["name"]) for event in events if event["ph"] == "X"}


def test_a_chosen_version_has_what_everybody_did_since_the_one_before(tmp_path, ray):
    asked, start = [], time.time()
    actors = {
        "engine-0": actor([Span("sample draw 3", start, 0.5, {"draw": 3})], asked),
        "learner-0": actor([Span("step", start, 1.0, {})]),
    }
    sink = TraceSink(tmp_path, [range(2, 3)], lambda: actors)
    sink.write(1, {})
    between = time.time()
    SPANS.add("push", 0.0)
    sink.write(2, {})
    sink.write(3, {})
    sink.close()
    (path,) = (tmp_path / "traces").iterdir()
    assert path.name == "version-000002.json"
    assert names(path) >= {("driver", "push"), ("engine-0", "sample draw 3"), ("learner-0", "step")}
    (since,) = asked
    assert start <= since <= between


def test_an_actor_that_does_not_answer_is_named_and_the_others_are_there(tmp_path, ray, caplog):
    actors = {"engine-0": actor(GetTimeoutError("late")), "reward-1": actor([Span("judge draw 4", time.time(), 0.1, {})])}
    sink = TraceSink(tmp_path, [range(1, 2)], lambda: actors)
    sink.write(1, {})
    sink.close()
    path = tmp_path / "traces" / "version-000001.json"
    assert json.loads(path.read_text())["otherData"]["missing"] == "engine-0"
    assert ("reward-1", "judge draw 4") in names(path)
    assert "engine-0" in caplog.text


def test_a_disk_that_is_full_ends_no_run(tmp_path, ray, caplog):
    (tmp_path / "traces").write_text("in the way")
    sink = TraceSink(tmp_path, [range(1, 2)], dict)
    sink.write(1, {})
    sink.close()
    assert "cannot be written" in caplog.text


def test_a_file_system_that_does_not_answer_holds_up_no_run(tmp_path, ray, caplog, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(tracing, "replace_text", lambda path, text: answered.wait(60))
    monkeypatch.setattr(tracing, "WRITTEN_S", 0.1)
    sink = TraceSink(tmp_path, [range(1, 2)], dict)
    sink.write(1, {})
    sink.close()
    answered.set()
    assert "trace of version 1: not written within 0.1 s" in caplog.text


def test_the_parts_of_a_push_lie_in_it_one_behind_the_other():
    driver = [Span("push", 50.0, 1.0, {}), Span("learner", 90.0, 2.0, {}), Span("push", 100.0, 1.0, {}), Span("eval", 101.0, 5.0, {})]
    metrics = {
        "weights/push_s": 0.9,
        "weights/pause_s": 0.25,
        "weights/send_s": 0.5,
        "weights/bytes": 7.0,
        "weights/parity_max_abs_dlogp": 0.0,
    }
    assert push_parts(driver, metrics) == [Span("push: pause", 100.0, 0.25, {}), Span("push: send", 100.25, 0.5, {})]
    assert push_parts(driver[1:2], metrics) == []
    assert push_parts(driver, {"weights/send_s": 9.0}) == []  # of another push
