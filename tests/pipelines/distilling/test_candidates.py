"""Which samples are asked and which are kept, for every state that a journal can be in."""

from itertools import product

import pytest

from toolrl.pipelines.distilling.candidates import Candidates, seed_of
from toolrl.rollout.replies import Reply
from toolrl.types import Message, Prompt, Reason, Sampling, Verdict

SAMPLING = Sampling(n=1, temperature=0.7, top_p=1.0, max_tokens=16)
PROMPTS = tuple(Prompt(name, "hand", (Message("user", name),), (), ()) for name in "ab")
TEXTS = {("a", 0): "wrong", ("a", 1): "right long", ("a", 2): "right", ("b", 0): "wrong", ("b", 1): "wrong", ("b", 2): "right"}


def judge(prompt, text):
    return Verdict(1.0, Reason.CORRECT) if text.startswith("right") else Verdict(0.0, Reason.WRONG_NAME)


def reply(key, tokens=None):
    return Reply(TEXTS[key], "stop", 3, len(TEXTS[key]) if tokens is None else tokens)


def candidates(replies, keep, judge=judge):
    return Candidates(PROMPTS, replies, samples=3, keep=keep, sampling=SAMPLING, seed=5, judge=judge)


def finished(replies, keep):
    """Ask one by one until nothing is missing; return the keys asked and those kept."""
    found = candidates(replies, keep)
    waiting, asked = found.missing(), []
    while waiting:
        ask = waiting.pop(0)
        if ask.key not in replies:  # as `answer_all` does
            asked.append(ask.key)
            replies[ask.key] = reply(ask.key)
            waiting += found.take(ask)
    return asked, [(prompt.id, sample) for prompt, sample in found.kept()]


@pytest.mark.parametrize(
    ("keep", "asked", "kept"),
    [
        ("shortest", ["a0", "a1", "a2", "b0", "b1", "b2"], ["a2", "b2"]),
        ("all", ["a0", "a1", "a2", "b0", "b1", "b2"], ["a1", "a2", "b2"]),
        ("first", ["a0", "b0", "a1", "b1", "b2"], ["a1", "b2"]),
    ],
)
def test_what_is_asked_and_kept(keep, asked, kept):
    found = finished({}, keep)
    assert [[f"{name}{sample}" for name, sample in keys] for keys in found] == [asked, kept]


@pytest.mark.parametrize("keep", ["shortest", "all", "first"])
def test_whatever_a_journal_holds_already_the_same_is_kept_and_nothing_is_asked_twice(keep):
    _, kept = finished({}, keep)
    for there in product((False, True), repeat=6):
        before = {key: reply(key) for key, has in zip(TEXTS, there, strict=True) if has}
        asked, again = finished(dict(before), keep)
        assert again == kept
        assert len(asked) == len(set(asked))
        assert not before.keys() & set(asked)
        if keep == "first":
            needed = {("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)}
            assert set(asked) == needed - before.keys()


def test_the_shortest_is_the_one_with_the_fewest_tokens():
    replies = {key: reply(key, tokens=100 - len(TEXTS[key])) for key in TEXTS}
    found = candidates(replies, "shortest")
    found.missing()
    assert [(prompt.id, sample) for prompt, sample in found.kept()] == [("a", 1), ("b", 2)]


def test_without_numbers_of_tokens_the_shortest_text_is_kept_and_of_equals_the_first():
    replies = {key: reply(key, tokens=0) for key in TEXTS}
    found = candidates(replies, "shortest")
    assert found.missing() == []
    assert [(prompt.id, sample) for prompt, sample in found.kept()] == [("a", 2), ("b", 2)]
    same = {key: Reply("right", "stop", 3, 1) for key in TEXTS}
    found = candidates(same, "shortest")
    found.missing()
    assert [(prompt.id, sample) for prompt, sample in found.kept()] == [("a", 0), ("b", 0)]


@pytest.mark.parametrize("verdict", [Verdict(0.0, Reason.CORRECT), Verdict(None, Reason.VERIFIER_ERROR), Verdict(1.0, Reason.NO_THINK)])
def test_what_a_function_refuses_what_it_fails_on_and_what_the_mode_calls_wrong_is_not_kept(verdict):
    found = candidates({key: reply(key) for key in TEXTS}, "all", lambda prompt, text: verdict)
    found.missing()
    assert list(found.kept()) == []
    assert {each.reason for each in found.judged.values()} == {verdict.reason}


def test_the_seed_of_a_sample_depends_on_nothing_else_that_is_asked():
    seeds = {seed_of(run, name, sample) for run in range(4) for name in ("a", "b", "a 1") for sample in range(4)}
    assert len(seeds) == 48
    assert all(0 <= seed < 2**63 for seed in seeds)
    ask = candidates({}, "all").missing()[4]
    assert (ask.key, ask.seed) == (("b", 1), seed_of(5, "b", 1))
