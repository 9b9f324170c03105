"""Whatever a verifier does, a completion gets a verdict."""

import signal
import time

import numpy as np
import pytest

from toolrl.reward.deadline import LateError, within
from toolrl.reward.judge import judge, judge_group
from toolrl.reward.verifier import make_verifier
from toolrl.types import Completion, Draw, Group, Prompt, Reason, VersionSpan, WeightVersion

PROMPT = Prompt("p", "test", (), (), ())


def group(*texts):
    tokens = np.zeros(1, np.int32)
    spans = (VersionSpan(WeightVersion(0), 0, 1),)
    completions = tuple(Completion(tokens, np.zeros(1, np.float32), np.ones(1, bool), text, "stop", 0, spans) for text in texts)
    return Group(Draw(0, PROMPT, tokens, 0), completions)


def broken(prompt, text):
    if "x" in text:
        raise KeyError(f"no {text} \ud800")
    return make_verifier("strict")(prompt, text)


def test_each_completion_has_its_verdict_in_order():
    verdicts = judge_group(make_verifier("strict"), group("<think>a</think>b", ""))
    assert [verdict.reward for verdict in verdicts] == [1.0, 0.0]


def test_an_exception_is_no_reward_and_says_what_happened():
    failed, right = judge_group(broken, group("x", "<think>a</think>b"))
    assert (failed.reward, failed.reason) == (None, Reason.VERIFIER_ERROR)
    assert failed.got.startswith("KeyError: 'no x ")
    failed.got.encode()
    assert right.reward == 1.0


def test_a_verifier_that_ends_its_process_is_a_failure_too():
    def leaves(prompt, text):
        raise SystemExit(3)

    assert judge(leaves, PROMPT, "").got == "SystemExit: 3"


def test_an_exception_that_cannot_be_printed_is_a_failure_all_the_same():
    class MuteError(Exception):
        def __str__(self):
            raise KeyError

    def fails(prompt, text):
        raise MuteError

    verdict = judge(fails, PROMPT, "")
    assert (verdict.reward, verdict.reason) == (None, Reason.VERIFIER_ERROR)
    assert "MuteError: <exception str() failed>" in verdict.got


def test_runaway_recursion_is_a_verdict_too():
    def endless(prompt, text):
        return endless(prompt, text)

    assert judge(endless, PROMPT, "").reason is Reason.VERIFIER_ERROR


def test_a_verdict_that_is_late_is_a_timeout_whatever_the_verifier_catches():
    def stubborn(prompt, text):
        while True:
            try:
                time.sleep(60)
            except Exception:  # noqa: BLE001 as careless users do
                continue

    before = signal.getsignal(signal.SIGALRM)
    verdict = judge(stubborn, PROMPT, "", deadline_s=0.05)
    assert (verdict.reward, verdict.reason, verdict.got) == (None, Reason.VERIFIER_TIMEOUT, "no verdict within 0.05 s")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_callers_own_deadline_ends_the_judging_and_is_no_verdict_on_one_completion():
    judged = []

    def slow(prompt, text):
        judged.append(text)
        time.sleep(60)

    with pytest.raises(LateError, match=r"no verdict within 0\.05 s"), within(0.05):
        judge_group(slow, group("first", "second"))
    assert judged == ["first"]


def test_a_verdict_in_time_is_left_alone():
    verdict = judge(make_verifier("strict"), PROMPT, "<think>a</think>b", deadline_s=60)
    assert verdict.reward == 1.0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
