"""Asking many things at once: everything once, no more at a time than allowed, and nothing lost when it ends early."""

import asyncio

import pytest

from toolrl.errors import ReplyError, RunError
from toolrl.rollout.replies import Ask, Reply, answer_all
from toolrl.types import Message, Prompt, Sampling

SAMPLING = Sampling(n=1, temperature=0.7, top_p=1.0, max_tokens=16)


def ask(name, sample=0):
    return Ask(Prompt(name, "hand", (Message("user", name),), (), ()), sample, SAMPLING, seed=7)


class Answers:
    """Answers with the prompt's name; `errors` by key are raised. Waits a turn of the loop for each number in a name."""

    def __init__(self, errors=None):
        self.errors = errors or {}
        self.asked, self.out, self.most = [], 0, 0

    async def reply(self, ask):
        self.asked.append(ask.key)
        self.out += 1
        self.most = max(self.most, self.out)
        try:
            for _ in range(1 + len(ask.prompt.id)):
                await asyncio.sleep(0)
            if ask.key in self.errors:
                raise self.errors[ask.key]
            return Reply(ask.prompt.id, "stop", 3, 2)
        finally:
            self.out -= 1


class Kept(dict):
    def add(self, key, reply):
        assert key not in self
        self[key] = reply


def test_everything_is_asked_once_and_no_more_than_allowed_at_a_time():
    responder, kept = Answers(), Kept()
    asks = [ask("x" * (i % 5), sample=i) for i in range(40)]
    assert asyncio.run(answer_all(asks, responder, kept, in_flight=6)) == {}
    assert sorted(responder.asked) == sorted(kept) == sorted(each.key for each in asks)
    assert responder.most == 6


def test_what_is_answered_already_is_not_asked():
    responder, kept = Answers(), Kept({("a", 0): Reply("old", "stop", 1, 1)})
    asyncio.run(answer_all([ask("a"), ask("b")], responder, kept, in_flight=4))
    assert responder.asked == [("b", 0)]
    assert kept["a", 0].text == "old"


def test_an_ask_without_an_answer_is_reported_and_the_others_go_on():
    refused = ReplyError("too long")
    failed = asyncio.run(answer_all([ask("a"), ask("b"), ask("c")], Answers({("b", 0): refused}), kept := Kept(), in_flight=1))
    assert failed == {("b", 0): refused}
    assert list(kept) == [("a", 0), ("c", 0)]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_an_error_that_ends_all_is_raised_and_what_was_answered_is_kept(in_flight):
    responder = Answers({("b" * 9, 0): RunError("gone")})
    with pytest.raises(RunError, match="gone"):
        asyncio.run(answer_all([ask("a"), ask("b" * 9), *(ask("c", i) for i in range(99))], responder, kept := Kept(), in_flight=in_flight))
    assert ("a", 0) in kept
    assert len(responder.asked) < 40
    assert responder.out == 0, "nobody waits any more"


def test_a_reply_may_make_other_asks_necessary_which_come_after_those_that_wait():
    responder, kept = Answers(), Kept()

    def each(asked, reply):
        return [ask(asked.prompt.id, asked.sample + 1)] if asked.sample < 2 and asked.prompt.id != "b" else None

    asyncio.run(answer_all([ask("a"), ask("b"), ask("c")], responder, kept, in_flight=1, each=each))
    assert responder.asked == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2), ("c", 2)]


def test_whoever_has_nothing_to_ask_waits_for_what_a_late_reply_makes_necessary():
    responder, kept = Answers(), Kept()

    def each(asked, reply):
        return [ask("x" * 9, i) for i in range(4)] if asked.prompt.id == "late" else ()

    asyncio.run(answer_all([ask("a"), ask("late")], responder, kept, in_flight=4, each=each))
    assert len(kept) == 6
    assert responder.most == 4


def test_what_each_raises_ends_all():
    def each(asked, reply):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(answer_all([ask("a"), ask("b")], Answers(), Kept(), in_flight=1, each=each))
