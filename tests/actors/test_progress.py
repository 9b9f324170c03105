"""What a process waits for is known while it does, and nothing of it is kept longer."""

import asyncio
from types import SimpleNamespace

import pytest

from toolrl.actors import progress, wait
from toolrl.actors.progress import Calls
from toolrl.errors import DeadlineError, LearnerError


def handle(actor_id):
    return SimpleNamespace(_actor_id=bytes([actor_id]))


@pytest.fixture
def calls(monkeypatch):
    found = Calls()
    monkeypatch.setattr(wait, "CALLS", found)
    return found


async def after(seconds, answer=None, error=None):
    await asyncio.sleep(seconds)
    if error:
        raise error
    return answer


RANKS = {"learner-0": handle(10), "learner-1": handle(11)}


def test_who_has_not_answered_yet_is_known_while_the_others_have(calls):
    async def story():
        both = {"learner-0": after(0.0), "learner-1": after(0.2)}
        waiting = asyncio.create_task(wait.gather("training", both, timeout_s=9, error=LearnerError, actors=RANKS, setting="a.timeout_s"))
        await asyncio.sleep(0.1)
        (call,) = calls.open.values()
        seen = call.what, tuple(call.on), call.deadline_s, call.setting
        await waiting
        return seen

    assert asyncio.run(story()) == ("training", ("learner-1",), 9, "a.timeout_s")
    assert calls.open == {}
    assert {name: actor.actor_id for name, actor in calls.actors.items()} == {"learner-0": "0a", "learner-1": "0b"}
    assert calls.actors["learner-0"].answered < calls.actors["learner-1"].answered
    assert calls.failed == {}


def test_an_actor_made_anew_has_not_answered_yet(calls):
    for actor in (handle(10), handle(12)):
        asyncio.run(wait.one("starting", "learner-0", after(0.0), timeout_s=9, error=LearnerError, actor=actor))
        assert calls.actors["learner-0"].answered is not None
    with calls.waiting("starting", ["learner-0"], {"learner-0": handle(13)}, 9, ""):
        assert calls.actors["learner-0"] == progress.Known("0d")


def test_objects_and_fakes_are_no_actors(calls):
    asyncio.run(wait.objects("groups", [after(0.0)], timeout_s=9, error=LearnerError))
    asyncio.run(wait.one("starting", "learner-0", after(0.0), timeout_s=9, error=LearnerError, actor=object()))
    assert calls.actors == {}


def test_failures_of_a_kind_are_one_with_a_count_and_the_newest_words(calls):
    for number in range(3):
        with pytest.raises(DeadlineError):
            asyncio.run(wait.gather(f"draw {number}", {"engine-0": after(5.0)}, timeout_s=0.01, error=LearnerError, setting="s", actors={}))
    ((key, failed),) = calls.failed.items()
    assert key == ("s", ("engine-0",))
    assert (failed.times, failed.on) == (3, ("engine-0",))
    assert failed.error.startswith("draw 2: no answer within 0.01 s (s) from engine-0")


def test_failures_are_bounded_and_the_oldest_goes(calls):
    for number in range(progress.MOST_FAILURES + 5):
        with pytest.raises(LearnerError), calls.waiting("x", [f"a-{number}"], {}, 1, ""):
            raise LearnerError("x" * 10_000)
    assert len(calls.failed) == progress.MOST_FAILURES
    assert ("", ("a-4",)) not in calls.failed
    assert {len(each.error) for each in calls.failed.values()} == {progress.LONGEST}


def test_a_call_that_nobody_awaits_any_more_is_forgotten_and_is_no_failure(calls):
    async def story():
        task = asyncio.create_task(wait.one("draw", "engine-0", after(5.0), timeout_s=9, error=LearnerError, actor=handle(1)))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert (calls.open, calls.failed, calls.actors["engine-0"].answered) == ({}, {}, None)


def test_a_run_begins_without_those_of_the_one_before(calls):
    asyncio.run(wait.one("starting", "learner-0", after(0.0), timeout_s=9, error=LearnerError, actor=handle(1)))
    calls.clear()
    assert calls == Calls(_numbers=calls._numbers)
