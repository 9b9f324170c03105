"""What actors and versions say to Ray's endpoint, without Ray."""

import subprocess
import sys
import threading

import pytest

from toolrl.actors import gauges
from toolrl.actors.gauges import Instruments, Live, VersionGauges
from toolrl.monitor.metrics import describe

PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


class Said:
    """Stands in for `ray.util.metrics`: notes what every instrument was told."""

    def __init__(self):
        self.told = []
        self.made = []

    def _instrument(self, kind, name, labels):
        self.made.append((kind, name, labels))
        note = lambda value, tags: self.told.append((name, tags, value))  # noqa: E731
        return type("Instrument", (), {"inc": staticmethod(note), "set": staticmethod(note), "observe": staticmethod(note)})

    def Counter(self, name, help, labels):  # noqa: N802
        return self._instrument("counter", name, labels)

    def Gauge(self, name, help, labels):  # noqa: N802
        return self._instrument("gauge", name, labels)

    def Histogram(self, name, help, buckets, labels):  # noqa: N802
        assert buckets == sorted(buckets)
        return self._instrument("histogram", name, labels)


@pytest.fixture
def said(monkeypatch):
    found = Said()
    monkeypatch.setattr(gauges, "ray_metrics", found)
    return found


def test_a_counter_is_told_what_it_grew_by(said):
    instruments = Instruments("demo")
    for total in (5.0, 5.0, 12.0, 11.0, 13.0):  # a total that seems to fall was read half way
        instruments.say(describe("engine/sampled_tokens"), {"engine": "engine-0"}, total)
    assert [value for _, _, value in said.told] == [5.0, 7.0, 1.0]
    assert said.made == [("counter", "toolrl_engine_sampled_tokens", ("run", "engine"))]
    assert said.told[0][1] == {"run": "demo", "engine": "engine-0"}


def test_each_engine_has_a_total_of_its_own(said):
    instruments = Instruments("demo")
    for engine, total in (("engine-0", 5.0), ("engine-1", 3.0), ("engine-0", 6.0)):
        instruments.say(describe("engine/sampled_tokens"), {"engine": engine}, total)
    assert [value for _, _, value in said.told] == [5.0, 3.0, 1.0]


def test_a_version_keeps_what_the_next_does_not_measure_and_sets_absent_reasons_to_zero(said):
    sink = VersionGauges("demo", attempt=2)
    sink.write(1, {"heldout/reward": 0.25, "reward/reason/correct": 0.5, "reward/reason/no_think": 0.5})
    sink.write(2, {"reward/mean": 0.75, "reward/reason/correct": 1.0})
    assert {(name, *labels.values()): value for name, labels, value in sink.readings()} == {
        ("run/attempt",): 2.0,
        ("run/version",): 2.0,
        ("heldout/reward",): 0.25,
        ("reward/mean",): 0.75,
        ("reward/reason/*", "correct"): 1.0,
        ("reward/reason/*", "no_think"): 0.0,
    }
    sink.close()
    assert ("toolrl_reward_reason_ratio", {"run": "demo", "reason": "no_think"}, 0.0) in said.told


def test_a_version_says_as_many_series_after_a_thousand_as_after_one(said):
    sink = VersionGauges("demo", attempt=2)
    for version in range(1000):
        sink.write(version, {"reward/mean": 0.5, "reward/reason/correct": 1.0, "weights/send_s": 0.1})
    assert len(sink.readings()) == 5
    sink.close()


def test_readings_that_fail_are_told_once_and_tried_again(said, monkeypatch, caplog):
    monkeypatch.setattr(gauges, "EVERY_S", 0.01)
    tries, enough = [], threading.Event()

    def read():
        tries.append(1)
        if len(tries) == 5:
            enough.set()
        if len(tries) < 4:
            raise RuntimeError("half way")
        return [("reward/queued", {}, 3.0)]

    live = Live("demo", read)
    live.start()
    assert enough.wait(10)
    live.stop()
    assert caplog.text.count("live metrics of") == 1
    assert ("toolrl_reward_queued_groups", {"run": "demo"}, 3.0) in said.told


def test_memory_is_that_of_the_process_and_its_children(said):
    live = Live("demo", list, "engine-0")
    live._say()
    ((name, tags, value),) = said.told
    assert (name, tags) == ("toolrl_actor_memory_bytes", {"run": "demo", "actor": "engine-0"})
    assert 10**6 < value < 10**11


def test_a_driver_alone_does_not_count_the_cluster_that_it_started(said):
    with subprocess.Popen([sys.executable, "-c", "held = bytearray(200_000_000); print(len(held), flush=True); input()"], **PIPES) as child:
        child.stdout.readline()
        Live("demo", list, "driver", alone=True)._say()
        Live("demo", list, "engine-0")._say()
        child.communicate(b"end\n")
    (_, _, driver), (_, _, engine) = said.told
    assert engine - driver > 190_000_000


def test_an_observation_that_fails_ends_nothing_and_is_told_once(said, monkeypatch, caplog):
    def refuses(*arguments):
        raise ValueError("no such tag")

    monkeypatch.setattr(said, "Histogram", refuses)
    live = Live("demo", list)
    for _ in range(2):
        live.observe("reward/scoring_s", {}, 0.5)
    assert caplog.text.count("live metrics of") == 1


def test_ray_itself_takes_a_run_of_any_name():
    """Without a cluster its instruments check what they are told all the same."""
    Instruments("läufe 运行").say(describe("reward/scoring_s"), {}, 0.5)


def test_a_run_is_told_nothing_of_what_an_engine_did_for_the_one_before(said):
    totals = iter((100.0, 130.0))
    live = Live("first", lambda: [("engine/sampled_tokens", {"engine": "engine-0"}, next(totals))])
    live._say()
    live.rename("second")
    live._say()
    assert [(tags["run"], value) for _, tags, value in said.told] == [("first", 100.0), ("second", 30.0)]


def test_an_actor_that_outlives_its_run_belongs_to_the_next(said):
    live = Live("first", lambda: [("reward/queued", {}, 1.0)])
    live._say()
    live.rename("second")
    live._say()
    assert [tags["run"] for _, tags, _ in said.told] == ["first", "second"]


def test_where_there_is_no_cluster_there_is_no_endpoint():
    assert gauges.endpoints() == []
