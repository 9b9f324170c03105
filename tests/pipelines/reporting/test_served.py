"""What is served is what the folder holds, as it is now."""

import json
import shutil

import pytest

from toolrl.errors import ConfigError, RunFolderError
from toolrl.pipelines.reporting import served
from toolrl.pipelines.reporting.served import ServedRuns


@pytest.fixture
def run(with_metrics):
    return with_metrics()


def test_groups_come_a_page_at_a_time(run):
    runs = ServedRuns([run])
    found = json.loads(runs.groups({"start": "1", "count": "1"}))
    assert (found["total"], [row["draw"] for row in found["rows"]]) == (3, [1])
    assert json.loads(runs.groups({"reason": "not_a_list"}))["total"] == 1


def test_a_group_has_its_prompt_and_the_diff_of_its_calls(run):
    found = json.loads(ServedRuns([run]).group({"version": "1", "draw": "0"}))
    assert found["prompt"]["id"] == "weather"
    assert found["completions"][2]["calls"][0]["arguments"][0] == ["city", "wrong_value", '"Oslo"', '"Rome"']
    assert json.loads(ServedRuns([run]).row({"version": "1", "draw": "0"}))["rewards"] == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "query",
    [
        {"run": "1"},
        {"run": "x"},
        {"version": "1"},
        {"version": "1", "draw": "-1"},
        {"version": "1", "draw": "77"},
        {"version": "1", "draw": "1" * 5000},
    ],
)
def test_a_query_for_what_is_not_there_is_told(run, query):
    with pytest.raises(ConfigError):
        ServedRuns([run]).group(query)


def test_a_supervised_run_beside_it_has_no_groups(run, tmp_path):
    other = tmp_path / "sft"
    other.mkdir()
    (other / "config.yaml").write_text("loop: {rows_per_batch: 4}\n")
    (other / "metrics.jsonl").write_text('{"version": 1, "learner/loss": 1.0}\n')
    runs = ServedRuns([run, other])
    assert "Settings" in runs.page()
    with pytest.raises(ConfigError, match="no groups of such a run"):
        runs.groups({"run": "1"})


def test_what_a_run_writes_meanwhile_is_seen(run, monkeypatch):
    monkeypatch.setattr(served, "FRESH_S", 0.0)
    runs = ServedRuns([run])
    before = runs.page()
    assert runs.page() is before
    shutil.copy(run / "rollouts" / "version-000002.parquet", run / "rollouts" / "version-000003.parquet")
    with (run / "metrics.jsonl").open("a") as lines:
        lines.write('{"version": 3, "reward/mean": 1.0}\n')
    assert json.loads(runs.groups({}))["total"] == 4
    assert "version 3" in runs.page()
    (run / "rollouts" / "version-000003.parquet").unlink()
    assert json.loads(runs.groups({}))["total"] == 3
    with pytest.raises(ConfigError, match="no draw 8"):
        runs.group({"version": "3", "draw": "8"})


def test_a_file_that_is_damaged_meanwhile_is_named(run):
    runs = ServedRuns([run])
    (run / "rollouts" / "version-000001.parquet").write_text("broken")
    with pytest.raises(RunFolderError, match=r"version-000001\.parquet"):
        runs.group({"version": "1", "draw": "0"})
