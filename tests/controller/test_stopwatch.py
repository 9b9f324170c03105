"""Seconds go to one stage each, and evaluation is not part of a step."""

import pytest

from toolrl.controller.stopwatch import Stopwatch


def test_a_lap_adds_up_and_starts_anew():
    now = [10.0]
    watch = Stopwatch(lambda: now[0])
    for stage, seconds in (("learner", 3.0), ("eval", 7.0), ("learner", 1.0)):
        with watch.stage(stage):
            now[0] += seconds
    now[0] += 0.5
    lap = watch.lap()
    assert (lap["loop/learner_s"], lap["loop/eval_s"], lap["loop/push_s"], lap["loop/step_s"]) == (4, 7, 0, 4.5)
    assert set(watch.lap().values()) == {0}


def test_stages_are_told_as_they_are_entered_and_gone_back_to():
    told = []
    watch = Stopwatch(lambda: 0.0, told.append)
    with watch.stage("wait_generation"), watch.stage("push"):
        told.append("|")
    assert told == ["wait_generation", "push", "|", "wait_generation", ""]


def test_the_stage_that_a_failure_ended_stays():
    told = []
    watch = Stopwatch(lambda: 0.0, told.append)
    with pytest.raises(RuntimeError), watch.stage("learner"):
        raise RuntimeError
    assert told == ["learner"]
