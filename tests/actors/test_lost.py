"""When the learner is lost, though no rank may have died, and when it cannot be made anew at once: without Ray."""

import asyncio
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError, ActorUnschedulableError

from toolrl.actors import wait
from toolrl.actors.learner import LearnerGroup
from toolrl.actors.start import gpus_of
from toolrl.actors.wait import gather
from toolrl.config.learning import LearnerConfig
from toolrl.errors import ConfigError, DeadlineError, DivergedError, LearnerError, LearnerLostError, PlacementError

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


class Rank:
    """Answers `address`, `setup` and `gpus`, or fails at one of them."""

    def __init__(self, **failures):
        self._failures = failures

    def __getattr__(self, method):
        async def answer(*arguments):
            if method in self._failures:
                raise self._failures[method]
            return ("host", "1")

        return SimpleNamespace(remote=answer)


def rebuilt(*ranks, error=None):
    """Make a group anew, from `ranks`, or with an `error` in making them; return how often ranks were made."""
    made = []

    def make():
        made.append(ranks)
        if error is not None:
            raise error
        return ranks

    group = LearnerGroup([Rank()], LearnerConfig(num_ranks=len(ranks), start_timeout_s=0.5), make_ranks=make)
    asyncio.run(group.rebuild())
    return len(made)


DIED = ActorDiedError()


@pytest.mark.parametrize(
    ("ranks", "error"),
    [
        ((Rank(address=DIED), Rank()), None),
        ((Rank(), Rank(setup=DIED)), None),
        ((Rank(setup=LearnerError("cannot load")), Rank()), None),
        ((Rank(setup=DeadlineError("rank 1 did not join")), Rank()), None),
        ((Rank(setup=RuntimeError("CUDA error: uncorrectable ECC error")), Rank()), None),
        ((), ActorUnschedulableError("the node is gone")),
    ],
)
def test_a_learner_that_cannot_be_made_anew_at_once_is_lost_again_so_that_another_try_is_made(ranks, error, monkeypatch):
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    with pytest.raises(LearnerLostError, match=r"^making the learner anew: "):
        rebuilt(*ranks, error=error)


def test_a_users_mistake_is_not_tried_again_and_a_group_that_comes_up_is_there(monkeypatch):
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    with pytest.raises(ConfigError, match="no such model"):
        rebuilt(Rank(setup=ConfigError("no such model")))
    assert rebuilt(Rank(), Rank()) == 1


def test_a_rank_that_dies_before_it_can_say_its_address_is_a_lost_learner():
    with pytest.raises(LearnerLostError, match="starting the learner: learner-0 has died"):
        asyncio.run(LearnerGroup([Rank(address=DIED)], LearnerConfig()).start())


@pytest.mark.parametrize(
    ("last", "error", "told"),
    [
        (Rank(gpus=DIED), LearnerLostError, "asking for the learner's GPUs: learner-1 has died"),
        (Rank(), PlacementError, "learner-0 was given 2 GPUs"),
    ],
)
def test_a_rank_that_cannot_say_its_gpu_ends_them_all_so_that_others_may_have_theirs(last, error, told, monkeypatch):
    killed, ranks = [], [Rank(), last]
    monkeypatch.setattr(ray, "kill", killed.append)
    with pytest.raises(error, match=told):
        asyncio.run(gpus_of(ranks, 1, timeout_s=5.0))
    assert killed == ranks
