"""A run kept in view: what grew, what changed, what was taken back, and what cannot be read."""

import json

import pytest

from toolrl.errors import RunFolderError
from toolrl.pipelines.watching import watched
from toolrl.pipelines.watching.watched import RECENT, Rewind, WatchedRun


def test_a_run_is_read_as_it_stands(rl_run):
    run = WatchedRun(rl_run())
    assert (run.kind, run.version, run.steps, run.seen.lines) == ("rl", 2, run.settings["run.steps"], 3)
    assert run.seen.series["reward/mean"].values == [0.0, 0.1, 0.2]
    assert (run.summary, run.status, run.troubles) == (None, None, {})


def test_a_supervised_run_too(sft_run):
    run = WatchedRun(sft_run)
    assert (run.kind, run.version, run.steps) == ("sft", 4, 100)
    assert run.seen.heldout["heldout/loss"] == 2.5
    assert run.seen.series["learner/loss"].values == [2.0, 1.0, 2.0 / 3, 0.5]


def test_it_grows(rl_run, write_metrics):
    path = rl_run()
    run = WatchedRun(path)
    write_metrics(path, (3,))
    run.poll()
    assert (run.version, run.seen.lines) == (3, 4)


def test_a_rewind_is_noticed_and_its_lines_forgotten(rl_run, rewind, write_metrics):
    path = rl_run()
    run = WatchedRun(path)
    rewind(path, 1)
    run.poll()
    assert run.version == 1
    assert list(run.rewinds) == [Rewind(2, 1)]
    assert run.seen.series["reward/mean"].versions == [0.0, 1.0]
    assert len(run.attempts) == 2
    write_metrics(path, (2,))
    run.poll()
    assert (run.version, len(run.rewinds)) == (2, 1)


def test_memory_is_bounded_whatever_the_length(rl_run):
    run = WatchedRun(rl_run(versions=range(600)))
    assert run.seen.lines == 600
    assert max(len(series.values) for series in run.seen.series.values()) <= 512
    assert len(run.seen.recent) == RECENT


def test_a_small_file_is_read_again_only_where_it_changed(rl_run, monkeypatch):
    path, reads = rl_run(), []
    monkeypatch.setattr(watched.readable, "read_attempts", lambda path: reads.append(path) or [])
    run = WatchedRun(path)
    run.poll()
    run.poll()
    assert len(reads) == 1
    (path / "versions.json").write_text(json.dumps({"attempts": [{}, {}]}))
    run.poll()
    assert len(reads) == 2


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(rl_run, write_metrics):
    path = rl_run()
    run = WatchedRun(path)
    good = (path / "versions.json").read_text()
    (path / "versions.json").write_text("{")
    with (path / "metrics.jsonl").open("a") as file:
        file.write("nonsense\n")
    run.poll()
    assert run.version == 2
    assert sorted(run.troubles) == ["metrics.jsonl", "versions.json"]
    assert "line 4" in run.troubles["metrics.jsonl"]
    (path / "versions.json").write_text(good + " ")
    run.poll()
    assert sorted(run.troubles) == ["metrics.jsonl"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "holds no run"),
        ("run: {dir: x}\nendpoint: {}\n", "not that of a training run"),
        ("- 1", "no sections"),
        ("run: 3", "no sections"),
        ("{", "put back"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(RunFolderError, match=message):
        WatchedRun(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="no such folder"):
        WatchedRun(tmp_path / "nowhere")
