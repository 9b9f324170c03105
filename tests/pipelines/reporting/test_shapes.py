"""Shares of reasons and histograms are those of the completions, counted by hand."""

import pytest
from recorded import line

from toolrl.monitor.prompts import read_prompts
from toolrl.pipelines.reporting import shapes
from toolrl.pipelines.reporting.groups import GroupIndex
from toolrl.pipelines.reporting.record import read_records


def test_reasons_are_shares_with_correct_first_and_the_seldom_together(with_metrics, monkeypatch):
    monkeypatch.setattr(shapes, "MOST_REASONS", 2)
    found = shapes.reasons_json(read_records([with_metrics()])[0])
    assert found["names"] == ["correct", "wrong_value", "the others"]
    assert found["x"] == [1, 2]
    assert found["columns"] == [[0.125, 0.5], [0.875, 0.0], [0.0, 0.5]]


def test_a_run_without_verdicts_has_no_reasons(with_metrics):
    assert shapes.reasons_json(read_records([with_metrics([line(1, learner__loss=1.0)])])[0]) is None


def test_a_histogram_has_whole_bins_and_shares_that_add_up(make_run):
    run = make_run()
    rows = GroupIndex(run / "rollouts", read_prompts(run / "prompts.parquet")).rows
    lengths, ages = shapes.histograms([("run", rows)])
    assert (lengths["from"], lengths["width"]) == ([4], 1)
    assert ages["from"] == [0, 1]
    assert ages["series"][0]["shares"] == pytest.approx([8 / 12, 4 / 12], abs=1e-5)
    assert shapes._histogram([("x", [10, 11, 99])])["width"] == 3  # 90 values in at most 40 bins
    assert shapes.histograms([]) == []
