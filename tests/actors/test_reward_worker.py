"""What a reward worker does with the groups of one call, without Ray: what is judged before a failure is kept, and the failure named."""

import threading
import time

import numpy as np
import pytest

from toolrl.actors import reward_worker
from toolrl.actors.reward_worker import Judged, RewardActor
from toolrl.config.task import RewardConfig
from toolrl.errors import DeadlineError, RolloutError
from toolrl.testing.fakes import FakePrompts, World
from toolrl.types import Completion, Group, Reason, Verdict, VersionSpan, WeightVersion

RIGHT = Verdict(1.0, Reason.CORRECT)


def judge(prompt, text):
    if text == "hang":
        threading.Event().wait()
    if text == "swell":
        raise MemoryError
    if text == "raise":
        raise KeyError("mine")
    return RIGHT


def group(number, text):
    ids = np.zeros(1, np.int32)
    spans = (VersionSpan(WeightVersion(0), 0, 1),)
    return Group(FakePrompts(World()).draw(number), (Completion(ids, ids.astype(np.float32), ids == 0, text, "stop", 0, spans),))


@pytest.fixture
def score(monkeypatch):
    """Score groups of one completion each; an exception in their place is what fetching them raises."""
    monkeypatch.setattr(reward_worker.resource, "setrlimit", lambda *limits: None)

    def fetch(what, handles, *, timeout_s):
        assert timeout_s == 0.1
        if isinstance(handles[0], Exception):
            raise handles[0]
        return handles

    monkeypatch.setattr(reward_worker, "fetch", fetch)
    return RewardActor(judge, RewardConfig(deadline_s=0.2, memory_gib=0.5)).score


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("hang", Verdict(None, Reason.VERIFIER_TIMEOUT, got="no verdict within 0.2 s")),
        ("swell", Verdict(None, Reason.VERIFIER_ERROR, got="MemoryError: the verifier wanted more than 0.5 GiB (reward.memory_gib)")),
    ],
)
def test_a_group_that_the_worker_does_not_get_through_ends_the_call_at_once(score, text, failure):
    start = time.monotonic()
    judged = score([group(0, "right"), group(1, text), group(2, "right")])
    assert judged == Judged([(RIGHT,)], failure)
    assert time.monotonic() - start < 2.0


def test_an_exception_is_the_verdict_on_its_completion_and_ends_nothing(score):
    judged = score([group(0, "raise"), group(1, "right")])
    assert [verdict.got for (verdict,) in judged.verdicts] == ["KeyError: 'mine'", ""]
    assert judged.failure is None


def test_groups_that_do_not_come_are_no_deadline_of_the_verifiers(score):
    with pytest.raises(RolloutError, match="groups to score: late"):
        score([DeadlineError("groups to score: late")])


def test_the_bound_is_what_the_process_has_and_the_setting(monkeypatch, tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmData:\t   1024 kB\nThreads:\t1\n")
    monkeypatch.setattr(reward_worker, "_STATUS", tmp_path / "status")
    seen = []
    monkeypatch.setattr(reward_worker.resource, "getrlimit", lambda what: (-1, -1))
    monkeypatch.setattr(reward_worker.resource, "setrlimit", lambda what, limits: seen.append(limits))
    RewardActor(judge, RewardConfig(memory_gib=0.5))
    RewardActor(judge, RewardConfig(memory_gib=0.0))
    assert seen == [(2**20 + 2**29, -1)]
