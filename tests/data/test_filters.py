import json
from collections import Counter
from dataclasses import replace

import pytest

from toolrl.data.filters import MAX_SAMPLES, REASONS, Filters, fault
from toolrl.data.rows import read_rows
from toolrl.types import Message, Prompt, Tool, ToolCall

TOOL = Tool("f", "", {"type": "object", "properties": {"a": {"type": "integer"}}})
GOOD = Prompt("good", "s", (Message("user", "one"),), (TOOL,), (ToolCall("f", {"a": 1}),))
WRONG = replace(GOOD, id="wrong", reference=(ToolCall("f", {"a": "1"}),))

NO_CONTRADICTION = {"required_unknown", "nested_reference", "duplicate_calls"}
"""Flags of real rows that no schema forbids: no argument is known to be required; a value names an earlier call (`API_call_0`) where
text is allowed; the same call is made twice on purpose ("three jokes")."""
FAULT_OF_FLAG = {"label_type_mismatch": "wrong_type", "name_not_in_tools": "name_not_offered", "argument_not_in_schema": "unknown_argument"}
BELOW_THE_FLAGS = {"rlla_test_19": '[0].arguments.intervals[1][1]: type "integer", got 10.5'}
"""The flags look at arguments, the schema check at what is inside them too: here a 10.5 in a list of lists of integers."""


def make(max_length=None):
    return Filters(length=lambda prompt: len(prompt.messages[0].content), max_length=max_length)


def test_a_kept_prompt_answers_with_its_length():
    assert make(max_length=3).keep(GOOD) == 3


def test_each_prompt_is_dropped_for_the_first_reason_and_counted_once():
    filters = make(max_length=4)
    long = replace(GOOD, id="long", messages=(Message("user", "four and more"),))
    prompts = (WRONG, GOOD, replace(GOOD, id="again"), long, replace(WRONG, id="wrong2"))
    assert [filters.keep(prompt) for prompt in prompts] == [None, 3, None, None, None]
    counts = {reason: (d.rows, [s["id"] for s in d.samples]) for reason, d in filters.dropped.items()}
    assert counts == {"wrong_type": (2, ["wrong", "wrong2"]), "duplicate": (1, ["again"]), "too_long": (1, ["long"])}
    assert set(counts) <= set(REASONS)


def test_a_row_dropped_for_its_label_does_not_make_a_good_one_a_duplicate():
    filters = make()
    assert [filters.keep(WRONG), filters.keep(GOOD)] == [None, 3]


def test_samples_say_what_was_wrong_and_are_few():
    filters = make()
    for i in range(10):
        filters.keep(replace(WRONG, id=f"w{i}"))
    dropped = filters.dropped["wrong_type"]
    assert (dropped.rows, len(dropped.samples)) == (10, MAX_SAMPLES)
    assert dropped.samples[0] == {"id": "w0", "detail": '[0].arguments.a: type "integer", got "1"'}


@pytest.mark.parametrize("name", ["tool_calling/train.jsonl", "tool_calling/test.jsonl", "apibank/unified.jsonl"])
def test_faults_of_real_rows_are_those_their_flags_name(shared_data, name):
    path = shared_data / name
    with path.open() as lines:
        flags = {row["id"]: {flag.partition(":")[0] for flag in row["flags"]} - NO_CONTRADICTION for row in map(json.loads, lines)}
    found = {prompt.id: fault(prompt) for prompt in read_rows(path)}
    for prompt_id, drop in found.items():
        if prompt_id in BELOW_THE_FLAGS:
            assert (drop.detail, flags[prompt_id]) == (BELOW_THE_FLAGS[prompt_id], set())
        elif drop is None:
            assert flags[prompt_id] == set(), prompt_id
        else:
            assert drop.reason in {FAULT_OF_FLAG[flag] for flag in flags[prompt_id]}, prompt_id
    assert Counter(drop.reason for drop in found.values() if drop)["wrong_type"] > 10
