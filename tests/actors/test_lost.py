"""When the learner is lost, though no rank may have died: what a wait for ranks that work together makes of it, without Ray."""

import asyncio

import pytest

from toolrl.actors import wait
from toolrl.actors.wait import gather
from toolrl.errors import DivergedError, LearnerError, LearnerLostError

BROKEN = LearnerLostError("learner-0: save: the ranks cannot reach each other any more: Timed out waiting 300000ms")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(wait, "ECHO_S", 0.2)


async def fails(error, after_s=0.0):
    await asyncio.sleep(after_s)
    raise error


def failure(**calls):
    async def waiting():
        named = {name.replace("_", "-"): call for name, call in calls.items()}
        await gather("saving a checkpoint", named, timeout_s=5.0, error=LearnerError, lost=LearnerLostError)

    with pytest.raises(LearnerError) as raised:
        asyncio.run(waiting())
    return raised.value


def test_ranks_that_were_cut_off_from_each_other_are_lost():
    found = failure(learner_0=fails(BROKEN), learner_1=fails(LearnerLostError("learner-1: the same"), 0.1))
    assert type(found) is LearnerLostError
    assert str(found) == str(BROKEN)


def test_of_a_rank_that_gave_up_on_another_the_silent_one_is_named():
    found = failure(learner_0=fails(BROKEN), learner_1=asyncio.sleep(60))
    assert type(found) is LearnerLostError
    assert str(found) == f"{BROKEN}; and no word from learner-1"


def test_a_rank_that_lost_the_others_is_the_echo_of_whatever_ended_one_of_them():
    found = failure(learner_0=fails(BROKEN), learner_1=fails(DivergedError("not finite"), 0.1))
    assert (type(found), str(found)) == (DivergedError, "not finite")


def test_a_rank_that_fails_by_itself_is_no_lost_learner_though_the_others_wait_for_it():
    found = failure(learner_0=fails(RuntimeError("CUDA out of memory")), learner_1=asyncio.sleep(60))
    assert (type(found), str(found)) == (LearnerError, "saving a checkpoint: learner-0: RuntimeError: CUDA out of memory")
