"""What a run does, told from its files and two clocks."""

import json
from dataclasses import asdict, replace

import pytest

from toolrl.monitor.status import End, Wait
from toolrl.pipelines.watching.doing import doing, left_s
from toolrl.pipelines.watching.watched import WatchedRun


@pytest.fixture
def with_status(rl_run, status):
    path = rl_run()

    def make(status=status, clock=lambda: 0.0):
        (path / "status.json").write_text(json.dumps(asdict(status)))
        return WatchedRun(path, clock)

    return make


def test_without_a_status_the_age_of_the_newest_version_tells(rl_run):
    run = WatchedRun(rl_run())  # steps of 2 s, the last at 1000.0
    assert doing(run, 1003.0, 0.0).state == "running"
    assert "3s ago; a step takes 2s" in doing(run, 1003.0, 0.0).told
    assert doing(run, 1059.0, 0.0).state == "running"
    assert doing(run, 1061.0, 0.0).state == "quiet: stopped?"


def test_slow_steps_may_be_slow(rl_run, write_metrics):
    run = WatchedRun(rl_run())
    for line in run.seen.recent:
        line["loop/eval_s"] = 98.0  # with the step 100 s
    assert doing(run, 1000.0 + 999.0, 0.0).state == "running"
    assert doing(run, 1000.0 + 1001.0, 0.0).state == "quiet: stopped?"


def test_a_clock_that_is_behind_makes_no_negative_age(rl_run):
    assert "0s ago" in doing(WatchedRun(rl_run()), 500.0, 0.0).told


def test_a_run_with_a_summary_has_ended(rl_run):
    path = rl_run()
    (path / "summary.json").write_text("{}")
    assert doing(WatchedRun(path), 10_000.0, 0.0).state == "ended"


def test_nothing_measured_yet_is_a_start(rl_run):
    assert doing(WatchedRun(rl_run(versions=())), 1000.0, 0.0).state == "starting"


def test_a_status_says_the_stage_and_what_is_waited_for(with_status, status):
    wait = Wait("training a batch", ("learner-0", "learner-1"), since=1998.0, deadline_s=600.0, setting="learner.step_timeout_s")
    state = doing(with_status(replace(status, waits=(wait,))), 2001.0, 0.0)
    assert state.state == "running"
    expected = "training the batch for 3s; sampling 4; waits 2s of 10m 00s for training a batch (learner-0, learner-1)"
    assert state.told == expected


def test_a_status_that_is_not_written_any_more_is_of_a_killed_run(with_status):
    run = with_status()
    assert doing(run, 2020.0, 0.0).state == "running"
    assert doing(run, 2021.0, 0.0).state == "silent: killed?"
    assert "process 10 on here" in doing(run, 2021.0, 0.0).told


def test_a_status_that_is_seen_to_change_is_of_a_living_run_whatever_the_clocks_say(with_status, status):
    times = iter([5.0])
    run = with_status(clock=lambda: next(times))
    (run.path / "status.json").write_text(json.dumps(asdict(status)) + " ")
    run.poll()  # at 5.0 by its own clock
    assert doing(run, 9000.0, 25.0).state == "running"
    assert doing(run, 9000.0, 26.0).state == "silent: killed?"


@pytest.mark.parametrize(("how", "style"), [("ended", "bold green"), ("failed", "bold red"), ("preempted", "bold red")])
def test_how_a_run_ended_is_told_with_its_error(with_status, status, how, style):
    error = "" if how == "ended" else "engine-0 has died"
    state = doing(with_status(replace(status, end=End(2000.0, how, error))), 2060.0, 0.0)
    assert (state.state, state.style) == (how, style)
    assert state.told == "1m 00s ago" + (": engine-0 has died" if error else "")


def test_the_time_that_is_left_is_that_of_the_newest_steps(rl_run):
    path = rl_run()
    run = WatchedRun(path)
    run.settings["run.steps"] = 12
    assert left_s(run) == 20.0  # ten steps of 2 s
    run.settings["run.steps"] = 2
    assert left_s(run) is None
