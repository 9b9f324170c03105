"""Drift by hand: against the first version trained, also after a resume."""

import pytest

from toolrl.monitor.drift import DIFFERENCES, LENGTH, Drift, DriftSink
from toolrl.monitor.lines import JsonlSink, read_lines
from toolrl.monitor.metrics import describe

START = {"heldout/reward": 0.4}
FIRST = {LENGTH: 80.0, "reward/format_right": 0.5, "rollout/truncated_share": 0.25}
LATER = {LENGTH: 100.0, "reward/format_right": 0.75, "rollout/truncated_share": 0.125}
NONE = {"drift/completion_tokens": 1.0, "drift/format_right": 0.0, "drift/truncated_share": 0.0}
MOVED = {"drift/completion_tokens": 1.25, "drift/format_right": 0.25, "drift/truncated_share": -0.125}


def test_the_first_version_trained_is_the_measure():
    drift = Drift()
    assert drift.of(START) == {}
    assert drift.of(FIRST) == NONE
    assert drift.of(LATER) == MOVED
    assert drift.of(LATER) == MOVED


def test_a_resumed_run_measures_by_its_first_version_too(tmp_path):
    lines = JsonlSink(tmp_path / "metrics.jsonl")
    for version, metrics in enumerate((START, FIRST, LATER)):
        lines.write(version, metrics)
    assert Drift(read_lines(tmp_path / "metrics.jsonl")).of(LATER) == MOVED
    assert Drift([START]).of(LATER) == NONE


@pytest.mark.parametrize("metrics", [{LENGTH: 100.0}, {LENGTH: 100.0, "reward/format_right": None}])
def test_what_was_not_measured_has_no_drift(metrics):
    assert Drift([FIRST]).of(metrics) == {"drift/completion_tokens": 1.25}
    assert Drift([metrics]).of(FIRST) == {"drift/completion_tokens": 0.8}
    assert Drift([{LENGTH: 0.0}]).of(FIRST) == {}


def test_the_sinks_behind_get_the_metrics_with_their_drift():
    class Sink:
        rows, closed = [], False

        def write(self, version, metrics):
            self.rows.append((version, metrics))

        def close(self):
            self.closed = True

    sink = Sink()
    drifting = DriftSink(sink, Drift())
    drifting.write(0, START)
    drifting.write(1, FIRST)
    drifting.close()
    assert sink.rows == [(0, START), (1, FIRST | NONE)]
    assert sink.closed


def test_its_sources_and_results_are_metrics_of_the_table():
    for name in (LENGTH, *DIFFERENCES.values(), *NONE):
        assert describe(name) is not None
