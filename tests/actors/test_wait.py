"""What an error says of actors that died or are silent: what was waited for, who is missing, why, their last words, and what to do."""

import asyncio
import os
import sys
import time

import pytest
import ray
from ray.exceptions import ActorDiedError

from toolrl.actors import lastlines
from toolrl.actors.lastlines import last_lines, reason
from toolrl.actors.wait import fetch, gather, one
from toolrl.errors import DeadlineError, LearnerError, LearnerLostError, RolloutError, UserError

pytestmark = pytest.mark.stack


class Speaker:
    """Says what it does, and then does it."""

    def say(self, *lines):
        print(*lines, sep="\n")
        return os.getpid()

    def hang(self):
        print("\x1b[31mI wait for nobody\x1b[0m", file=sys.stderr)
        time.sleep(60)

    def die(self, after_s=0.0):
        time.sleep(after_s)
        print("Traceback: my last words", file=sys.stderr, flush=True)
        os._exit(3)

    def fail(self, error):
        raise error


class Unborn:
    def __init__(self):
        raise ImportError("no module named nothing:\n  look for it")

    def say(self):
        return 0


@pytest.fixture
def make(ray_cluster):
    made = []

    def actor(kind=Speaker, **options):
        made.append(ray.remote(kind).options(num_cpus=0, **options).remote())
        return made[-1]

    yield actor
    for each in made:
        ray.kill(each)


def failure(call, kind):
    with pytest.raises(kind) as raised:
        asyncio.run(call)
    return str(raised.value)


def test_of_an_actor_that_died_the_error_has_the_reason_and_its_last_words(make):
    actor = make()
    pid = ray.get(actor.say.remote("line 1", "line 2"))
    said = failure(one("sampling draw 7", "engine-0", actor.die.remote(), timeout_s=20, error=RolloutError), RolloutError)
    first, second, *lines = said.splitlines()
    assert first.startswith("sampling draw 7: engine-0 has died: its worker process has died. Worker exit type: SYSTEM_ERROR")
    assert "causes" not in first
    assert second.startswith(f"engine-0: it is dead, process {pid} on node {ray.util.get_node_ip_address()}; its last lines (/")
    assert second.endswith(f"-{pid}.err):")
    assert lines == ["  out| line 1", "  out| line 2", "  err| Traceback: my last words"]


def test_of_silent_actors_the_error_names_the_setting_and_says_how_each_of_them_is(make):
    hung, well, unplaced = make(), make(), make(num_gpus=1)
    pid = ray.get(hung.say.remote(*map(str, range(30))))
    ray.get(well.say.remote())
    calls = {"learner-2": hung.hang.remote(), "learner-0": well.say.remote(), "learner-1": unplaced.say.remote()}
    actors = {"learner-2": hung, "learner-0": well, "learner-1": unplaced}
    waiting = gather(
        "training a batch", calls, timeout_s=1.0, error=LearnerError, lost=LearnerLostError, actors=actors, setting="learner.step_timeout_s"
    )
    first, second, third, *lines = failure(waiting, LearnerLostError).splitlines()
    assert first == (
        "training a batch: no answer within 1 s (learner.step_timeout_s) from learner-1, learner-2; raise learner.step_timeout_s "
        "if there was only too much to do, else see what it was doing"
    )
    assert second == "learner-1: it has not started: no node has had room for it, or its process is still coming up"
    assert third.startswith(f"learner-2: it is alive, process {pid} on node ")
    assert lines == [*(f"  out| {n}" for n in range(18, 30)), "  err| I wait for nobody"]


def test_a_death_is_told_and_not_the_failures_that_it_causes_in_others(make):
    dead, echo = make(), make()
    ray.get([dead.say.remote(), echo.say.remote()])
    calls = {"learner-0": echo.fail.remote(RuntimeError("Connection closed by peer")), "learner-1": dead.die.remote(0.5)}
    said = failure(gather("training", calls, timeout_s=20, error=LearnerError, lost=LearnerLostError), LearnerLostError)
    assert said.startswith("training: learner-1 has died: ")


def test_an_actors_own_error_is_told_at_once_and_as_it_is(make):
    silent, failing = make(), make()
    ray.get([silent.say.remote(), failing.say.remote()])
    start = time.monotonic()
    calls = {"a": silent.hang.remote(), "b": failing.fail.remote(UserError("mend this"))}
    assert failure(gather("starting", calls, timeout_s=20, error=LearnerError), UserError) == "mend this"
    assert time.monotonic() - start < 5.0
    said = failure(one("starting", "b", failing.fail.remote(ValueError("odd")), timeout_s=20, error=LearnerError), LearnerError)
    assert said == "starting: b: ValueError: odd"


def test_an_actor_whose_constructor_failed_says_with_what(make):
    said = failure(one("starting", "reward-0", make(Unborn).say.remote(), timeout_s=20, error=LearnerError), LearnerError)
    assert said == "starting: reward-0 has died: ImportError: no module named nothing:\n  look for it"


def test_lines_are_read_on_the_node_of_the_actor(make, monkeypatch):
    actor = make()
    ray.get(actor.say.remote("far away"))
    monkeypatch.setattr(lastlines, "_is_here", lambda node: False)
    assert asyncio.run(last_lines(actor)).splitlines()[1:] == ["  out| far away"]


def test_an_error_does_not_wait_for_its_own_explanation(make, monkeypatch):
    actor = make()
    ray.get(actor.say.remote())
    monkeypatch.setattr(lastlines, "LIMIT_S", 0.1)
    monkeypatch.setattr(lastlines, "_told", lambda actor_id, n: time.sleep(3))
    start = time.monotonic()
    said = failure(one("waiting", "a", actor.hang.remote(), timeout_s=0.1, error=RolloutError, actor=actor), DeadlineError)
    assert time.monotonic() - start < 2.0
    assert said.splitlines()[1] == "a: how it is could not be found out within 0.1 s"


def test_whatever_goes_wrong_in_finding_out_is_part_of_the_answer(make):
    assert asyncio.run(last_lines("ff" * 16)) == "the cluster does not know it"
    assert asyncio.run(last_lines("no id")).startswith("how it is could not be found out: ")


def test_objects_that_do_not_arrive_are_a_deadline(make):
    with pytest.raises(DeadlineError, match=r"groups to score: 1 objects did not arrive within 0\.1 s"):
        fetch("groups to score", [make().hang.remote()], timeout_s=0.1)


def test_a_death_that_says_nothing_has_some_reason_all_the_same():
    assert reason(ActorDiedError()) == "The actor died unexpectedly before finishing this task"
