import random
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.near import MAX_COMPARED, MAX_WORDS, THRESHOLD, Near, reference_text, similarity
from toolrl.types import Message, Prompt, Tool, ToolCall

TOOL = Tool("f", "", {"type": "object", "properties": {"a": {"type": "integer"}}})
CALLS = (ToolCall("f", {"a": 1}),)
TEN = "one two three four five six seven eight nine ten"


def prompt(text, reference=CALLS, tools=(TOOL,), before=()):
    return Prompt("p", "s", (*before, Message("user", text)), tools, reference)


def found(*prompts):
    """For each prompt the number of the one it is nearly the same as, or None."""
    near = Near()
    return [near.find(each, i) for i, each in enumerate(prompts)]


def test_eight_words_of_ten_in_common_are_near_and_seven_are_not():
    assert THRESHOLD == 0.8
    eight = "one two three four five six seven eight"  # 8 of 10 in either
    seven = "one two three four five six seven"
    assert found(prompt(TEN), prompt(eight)) == [None, 0]
    assert found(prompt(TEN), prompt(seven)) == [None, None]
    assert found(prompt(TEN), prompt("ONE — two, three: four five; six, seven!! eight nine ｔｅｎ?")) == [None, 0]


@pytest.mark.parametrize(
    "other",
    [
        prompt(TEN, reference=(ToolCall("f", {"a": 2}),)),
        prompt(TEN, reference=()),
        prompt(TEN, tools=(TOOL, Tool("g", "", {}))),
        prompt(TEN, before=(Message("user", "hi"), Message("assistant", "hello"))),
    ],
)
def test_another_reference_other_tools_or_other_turns_are_never_near(other):
    assert found(prompt(TEN), other) == [None, None]


def test_the_order_of_calls_and_keys_and_reworded_tools_make_no_difference():
    calls = (ToolCall("f", {"a": 1, "b": 2}), ToolCall("f", {"a": 2}))
    again = (ToolCall("f", {"a": 2}), ToolCall("f", {"b": 2, "a": 1}))
    assert reference_text(calls) == reference_text(again)
    assert found(prompt(TEN, calls), prompt(TEN, again, tools=(replace(TOOL, description="new"),))) == [None, 0]


def test_a_system_message_counts_for_nothing():
    system = Message("system", "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    assert found(prompt("red", before=(system,)), prompt("blue", before=(system,))) == [None, None]


def test_a_row_that_was_dropped_is_compared_with_no_more():
    chain = [TEN, TEN.replace("one", "uno"), TEN.replace("one", "uno").replace("two", "due")]  # 9 of 11, then 8 of 12 with the first
    assert found(*map(prompt, chain)) == [None, 0, None]


def test_a_large_block_is_searched_only_as_far_as_its_latest_rows():
    others = [prompt(" ".join(f"w{i}x{j}" for j in range(8))) for i in range(MAX_COMPARED)]
    assert found(prompt(TEN), *others[:-1], prompt(TEN))[-1] == 0
    assert found(prompt(TEN), *others, prompt(TEN))[-1] is None


HASHES = st.sets(st.integers(0, 65535), max_size=20)


@given(HASHES, HASHES)
def test_up_to_32_words_the_measure_is_exact(a, b):
    expected = len(a & b) / len(a | b) if a | b else 1.0
    assert similarity(sorted(a), sorted(b)) == similarity(sorted(b), sorted(a)) == expected


def test_beyond_32_words_the_estimate_is_near_the_measure():
    chance = random.Random(0)
    errors = []
    for _ in range(300):
        words = chance.sample(range(65536), 110)
        one, other = sorted(words[:100]), sorted(words[10:])  # 90 of 110: 0.818
        errors.append(similarity(one[:MAX_WORDS], other[:MAX_WORDS]) - 90 / 110)
    assert abs(sum(errors) / len(errors)) < 0.015
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 0.08


def test_a_row_of_twenty_words_takes_at_most_100_bytes():
    rows = 20_000
    prompts = (prompt(" ".join(f"w{i}" for i in range(20)), (ToolCall("f", {"a": number}),)) for number in range(rows))
    near = Near()
    near.find(next(prompts), 0)
    tracemalloc.start()
    for i, each in enumerate(prompts, start=1):
        near.find(each, i)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / rows <= 100
