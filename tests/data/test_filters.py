import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import pytest

from toolrl.data.filters import MAX_SAMPLES, REASONS, Filters
from toolrl.data.rows import read_rows
from toolrl.types import Message, Prompt, Tool, ToolCall

TOOL = Tool("f", "", {"type": "object", "properties": {"a": {"type": "integer"}}})
GOOD = Prompt("good", "s", (Message("user", "one"),), (TOOL,), (ToolCall("f", {"a": 1}),))
WRONG = replace(GOOD, id="wrong", reference=(ToolCall("f", {"a": "x"}),))
QUOTED = replace(GOOD, id="quoted", reference=(ToolCall("f", {"a": "1"}),))
EMPTY = replace(GOOD, id="empty", reference=())

NO_CONTRADICTION = {"required_unknown", "nested_reference", "duplicate_calls"}
"""Flags of real rows that no schema forbids: no argument is known to be required; a value names an earlier call (`API_call_0`) where
text is allowed; the same call is made twice on purpose ("three jokes")."""
FAULT_OF_FLAG = {"label_type_mismatch": "wrong_type", "name_not_in_tools": "name_not_offered", "argument_not_in_schema": "unknown_argument"}
BELOW_THE_FLAGS = {"rlla_test_19": '[0].arguments.intervals[1][1]: type "integer", got 10.5'}
"""The flags look at arguments, the schema check at what is inside them too: here a 10.5 in a list of lists of integers."""


class FakeHit(NamedTuple):
    benchmark: str
    match: str


def known(prompt):
    return (FakeHit("bench", "request"),) if "exam" in prompt.messages[0].content else ()


def run(filters, *prompts):
    """The ids that are kept, with a prompt's length in characters."""
    screened = [each for each in map(filters.screen, prompts) if each]
    return [each.id for each in screened if filters.keep(each, len(each.messages[0].content))]


def dropped(filters):
    return {reason: (d.rows, [s["id"] for s in d.samples]) for reason, d in filters.dropped.items()}


def test_each_prompt_is_dropped_for_the_first_reason_and_counted_once():
    filters = Filters(max_length=20, keep_no_call=False, keep_hits=False, find=known)
    long = replace(GOOD, id="long", messages=(Message("user", "twenty and a few more"),))
    exam = replace(GOOD, id="exam", messages=(Message("user", "an exam"),))
    other = replace(GOOD, id="other", reference=(ToolCall("f", {"a": 2}),))
    near = replace(GOOD, id="near", messages=(Message("user", "One!"),))
    prompts = (WRONG, GOOD, replace(GOOD, id="again"), EMPTY, long, replace(long, id="long2"), exam, other, near, replace(WRONG, id="w2"))
    assert run(filters, *prompts) == ["good"]
    assert dropped(filters) == {
        "wrong_type": (2, ["wrong", "w2"]),
        "no_call": (1, ["empty"]),
        "contaminated": (1, ["exam"]),
        "too_long": (2, ["long", "long2"]),
        "duplicate": (1, ["again"]),
        "conflicting": (1, ["other"]),
        "near_duplicate": (1, ["near"]),
    }
    assert set(filters.dropped) < set(REASONS)


def test_samples_name_the_earlier_row_and_what_differs():
    filters = Filters()
    other = replace(GOOD, id="other", reference=(ToolCall("f", {"a": 2}),))
    run(filters, GOOD, replace(GOOD, id="again"), other, replace(GOOD, id="near", messages=(Message("user", "One!"),)))
    details = {reason: d.samples[0]["detail"] for reason, d in filters.dropped.items()}
    assert details == {
        "duplicate": "good has the same conversation, tools and reference",
        "conflicting": 'good has the same conversation and tools, and not the reference {"name": "f", "arguments": {"a": 2}}',
        "near_duplicate": "good has nearly the same words, the same tools and the same reference",
    }


def test_of_conflicting_rows_the_first_stays_and_calls_in_another_order_do_not_conflict():
    two = (ToolCall("f", {"a": 1}), ToolCall("f", {"a": 2}))
    filters = Filters()
    assert run(filters, replace(GOOD, reference=two), replace(GOOD, id="turned", reference=two[::-1]), replace(GOOD, id="half")) == ["good"]
    assert dropped(filters) == {"duplicate": (1, ["turned"]), "conflicting": (1, ["half"])}


def test_what_was_dropped_makes_no_later_row_a_duplicate():
    filters = Filters(max_length=3)
    assert run(filters, WRONG, replace(GOOD, id="long", messages=(Message("user", "one more"),)), GOOD) == ["good"]


def test_what_is_remembered_of_a_row_of_twenty_words_takes_at_most_260_bytes():
    def nth(i):
        words = f"{i} " + " ".join(f"w{i + j}" for j in range(19))
        return replace(GOOD, id=f"row-{i}", messages=(Message("user", words),), reference=(ToolCall("f", {"a": i}),))

    rows, filters = 10_000, Filters()
    filters.keep(nth(rows), 1)
    tracemalloc.start()
    assert all(filters.keep(nth(i), 1) for i in range(rows))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / rows <= 260


def test_a_repaired_row_is_kept_repaired_and_counted_once_a_kind():
    filters = Filters()
    twice = replace(QUOTED, id="twice", reference=(ToolCall("f", {"a": "1"}), ToolCall("f", {"a": "2"})))
    assert filters.screen(QUOTED).reference == GOOD.reference
    assert [call.arguments for call in filters.screen(twice).reference] == [{"a": 1}, {"a": 2}]
    assert {kind: counted.rows for kind, counted in filters.repaired.items()} == {"quoted_number": 2}
    assert filters.repaired["quoted_number"].samples[0] == {"id": "quoted", "detail": '[0].arguments.a: "1" -> 1'}


def test_a_repaired_row_is_a_duplicate_of_one_that_was_right():
    filters = Filters()
    assert run(filters, GOOD, QUOTED) == ["good"]
    assert dropped(filters) == {"duplicate": (1, ["quoted"])}


def test_rows_without_a_call_and_rows_of_a_benchmark_can_be_kept():
    filters = Filters(find=known)
    exam = replace(EMPTY, id="exam", messages=(Message("user", "an exam"),))
    assert run(filters, EMPTY, exam) == ["empty", "exam"]
    assert (filters.hits["bench"].rows, filters.hits["bench"].samples) == (1, [{"id": "exam", "benchmark": "bench", "match": "request"}])


def test_samples_say_what_was_wrong_and_are_few():
    filters = Filters()
    for i in range(10):
        filters.screen(replace(WRONG, id=f"w{i}"))
    wrong = filters.dropped["wrong_type"]
    assert (wrong.rows, len(wrong.samples)) == (10, MAX_SAMPLES)
    assert wrong.samples[0] == {"id": "w0", "detail": '[0].arguments.a: type "integer", got "x"'}


@pytest.mark.parametrize("name", ["tool_calling/train.jsonl", "tool_calling/test.jsonl", "apibank/unified.jsonl"])
def test_a_real_row_is_repaired_or_dropped_if_and_only_if_its_flags_say_that_its_label_is_wrong(shared_data, name):
    path = shared_data / name
    with path.open() as lines:
        flags = {row["id"]: {flag.partition(":")[0] for flag in row["flags"]} - NO_CONTRADICTION for row in map(json.loads, lines)}
    kinds = Counter()
    for prompt in read_rows(path):
        filters = Filters()
        filters.screen(prompt)
        for reason, drop in filters.dropped.items():
            kinds[reason] += 1
            if prompt.id in BELOW_THE_FLAGS:
                assert (drop.samples[0]["detail"], flags.pop(prompt.id)) == (BELOW_THE_FLAGS[prompt.id], set())
            else:
                assert reason in {FAULT_OF_FLAG[flag] for flag in flags.pop(prompt.id)}, prompt.id
        if filters.repaired:
            kinds["repaired"] += 1
            assert flags.pop(prompt.id) == {"label_type_mismatch"}
    assert not any(flags.values())
    assert kinds["repaired"] > 10
