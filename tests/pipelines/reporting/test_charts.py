"""Curves hold what metrics.jsonl holds, thinned honestly; stages of a step add up to its wall time."""

import pytest
from recorded import line

from toolrl.pipelines.reporting import charts, overview
from toolrl.pipelines.reporting.record import read_records


def record_of(run):
    return read_records([run])[0]


def test_metrics_are_given_by_version_and_gaps_are_none(with_metrics):
    found = charts.metrics_of(record_of(with_metrics()))
    assert (found["x"], found["per"]) == ([0, 1, 2], 1)
    assert found["metrics"]["heldout/reward"] == [0.25, None, 0.75]
    assert found["metrics"]["reward/mean"] == [None, 0.125, 0.5]
    assert "time" not in found["metrics"]


def test_of_a_long_run_a_point_is_the_mean_of_its_versions_and_of_a_maximum_the_largest(with_metrics, monkeypatch):
    monkeypatch.setattr(charts, "MOST_POINTS", 2)
    lines = [line(i, reward__mean=i / 10, loop__staleness_max=float(i % 3)) for i in range(1, 6)]
    found = charts.metrics_of(record_of(with_metrics(lines)))
    assert (found["x"], found["per"]) == ([3, 5], 3)
    assert found["metrics"]["reward/mean"] == pytest.approx([0.2, 0.45])
    assert found["metrics"]["loop/staleness_max"] == [2.0, 2.0]


def test_stages_add_up_to_the_wall_time_of_a_step(with_metrics):
    record = record_of(with_metrics())
    assert charts.stages_of(record) == [[2.0, 1.0, 0.5, 0.0, 0.0, 0.5], [0.5, 1.0, 0.25, 1.0, 0.0, 0.25]]
    budget = {row["name"]: (row["seconds"], row["share"]) for row in charts.budget_of(record)}
    assert budget["training"] == (1.0, 2.0 / 7.0)  # two seconds of 4 + 2 + 1
    assert budget["other"] == (0.375, 0.75 / 7.0)
    assert charts.stages_json(record)["names"] == ["waiting for completions", "training", "pushing weights", "evaluation", "other"]


def test_only_charts_with_a_measured_curve_are_shown(with_metrics):
    titles = [chart["title"] for chart in charts.catalogue([record_of(with_metrics())])]
    assert titles == ["Reward", "Loss"]


def test_every_curve_is_a_metric_of_the_table():
    from toolrl.monitor.metrics import describe

    assert not [curve.metric for chart in charts.CHARTS for curve in chart.curves if describe(curve.metric) is None]


def test_the_overview_has_what_a_run_began_and_ended_with(with_metrics):
    told = dict(overview.table([record_of(with_metrics())]))
    assert told["held-out reward, sampled"] == ["0.250 → 0.750"]
    assert told["training reward (mean of 5 versions)"] == ["0.312 → 0.312"]
    assert told["completions trained"] == ["12"]
    assert told["wall time of its versions"] == ["7s"]
