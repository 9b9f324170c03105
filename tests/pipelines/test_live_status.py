"""What status.json says of a run is what its parts say, and how it ended."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from toolrl.actors.progress import CALLS
from toolrl.errors import LearnerLostError, PreemptedError, RunFolderError
from toolrl.monitor.status import read_status
from toolrl.pipelines.live_status import Reporter, Sources
from toolrl.types import RunState

ACTORS = {"engine-0": SimpleNamespace(_actor_id=b"\1"), "learner-0": SimpleNamespace(_actor_id=b"\2")}


@pytest.fixture
def folder(tmp_path):
    return SimpleNamespace(path=tmp_path, attempt=3)


def reporter_of(folder):
    return Reporter(folder, 100)


def test_the_file_has_stage_actors_waits_and_the_state_of_the_loop(folder):
    engines = {"engine-0": "suspect"}
    with reporter_of(folder) as reporter:
        reporter.follow(Sources(lambda: RunState(version=7, draws_taken=56), engines=lambda: engines, scoring=lambda: 2))
        reporter.enter("learner")
        with (
            CALLS.waiting("sampling draw 60", ["engine-0"], ACTORS, 600, "engine.sample_timeout_s"),
            CALLS.waiting("training", ["learner-0"], ACTORS, 900, "learner.step_timeout_s") as training,
        ):
            CALLS.answered(training, "learner-0")
            seen = reporter.look()
    assert (seen.stage, seen.version, seen.steps, seen.draws_taken, seen.attempt) == ("learner", 7, 100, 56, 3)
    assert (seen.sampling, seen.scoring) == (1, 2)
    assert [(a.name, a.role, a.state, a.calls) for a in seen.actors] == [
        ("engine-0", "engine", "suspect", 1),
        ("learner-0", "learner", "up", 0),
    ]
    assert seen.actors[0].answered is None
    assert abs(seen.actors[1].answered - time.time()) < 5
    assert [(w.what, w.on, w.deadline_s) for w in seen.waits] == [("sampling draw 60", ("engine-0",), 600), ("training", (), 900)]
    assert abs(seen.waits[0].since - time.time()) < 5
    assert read_status(folder.path).end.how == "ended"


def test_the_loop_beats_while_it_turns(folder):
    async def story(reporter):
        reporter.beat()
        return reporter.look().beat

    with reporter_of(folder) as reporter:
        assert reporter.look().beat is None
        assert abs(asyncio.run(story(reporter)) - time.time()) < 5
        reporter.close_up()
        assert (reporter.look().beat, reporter.look().stage) == (None, "closing")


def lost():
    error = LearnerLostError("learner-1 has died")
    error.add_note("learner, training version 6")
    return error


@pytest.mark.parametrize(
    ("error", "how", "told"),
    [
        (lost(), "failed", "learner-1 has died\nlearner, training version 6"),
        (PreemptedError("saved"), "preempted", "saved"),
        (RunFolderError("no"), "refused", "no"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (ZeroDivisionError("0"), "crashed", "0"),
    ],
)
def test_the_end_is_told_with_its_error_and_the_stage_it_came_in(folder, error, how, told):
    def train():
        with reporter_of(folder) as reporter:
            reporter.enter("learner")
            raise error

    with pytest.raises(type(error)):
        train()
    status = read_status(folder.path)
    assert (status.stage, status.end.how, status.end.error) == ("learner", how, told)


def test_actors_and_failures_of_a_run_before_are_not_told(folder):
    with pytest.raises(LearnerLostError), CALLS.waiting("x", ["learner-9"], ACTORS, 1, ""):
        raise lost()
    with reporter_of(folder) as reporter:
        assert (reporter.look().failures, reporter.look().actors) == ((), ())
