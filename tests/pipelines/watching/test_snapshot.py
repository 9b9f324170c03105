"""The snapshot as JSON, also of text that a terminal must not have."""

import json
import math

from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.screen import Moment
from toolrl.pipelines.watching.snapshot import snapshot
from toolrl.pipelines.watching.watched import WatchedRun


def test_it_has_what_the_screen_has(rl_run):
    run = WatchedRun(rl_run())
    found = json.loads(json.dumps(snapshot(run, Browser(run.path, run.groups), Moment(1003.0, 0.0))))
    assert (found["command"], found["state"], found["version"], found["attempts"]) == ("rl", "running", 2, 1)
    assert found["curves"]["reward/mean"] == {"version": [0.0, 1.0, 2.0], "value": [0.0, 0.1, 0.2]}
    assert found["metrics"]["loop/step_s"] == 2.0
    assert [group["draw"] for group in found["groups"]] == [8, 1, 0]
    assert found["groups"][0]["reasons"] == ["correct", "unexpected_call", "unexpected_call", "no_think"]
    assert found["troubles"] == {}


def test_metrics_that_are_not_finite_are_null(rl_run, write_metrics):
    path = rl_run()
    write_metrics(path, (3,), of=lambda _: {"learner/entropy": math.nan})
    run = WatchedRun(path)
    assert snapshot(run, Browser(path, run.groups), Moment(1003.0, 0.0))["metrics"]["learner/entropy"] is None


def test_damage_is_told(rl_run):
    path = rl_run()
    (path / "rollouts" / "version-000002.parquet").write_bytes(b"damage")
    run = WatchedRun(path)
    found = snapshot(run, Browser(path, run.groups), Moment(1003.0, 0.0))
    assert found["groups"] == []
    assert "version-000002.parquet" in found["troubles"]["rollouts"]
