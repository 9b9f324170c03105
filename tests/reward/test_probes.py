"""Probes are wrong for their prompt, or they are not made."""

from dataclasses import replace
from decimal import Decimal

import pytest

from toolrl.reward.probes import right_answers, wrong_answers
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

F = Tool("f", "", {"properties": {"a": {"type": "number"}, "b": {"type": "number"}, "unit": {"default": "cm"}}})
G = Tool("g", "", {})


def prompt(*reference, tools=(F, G)):
    return Prompt("p", "test", (Message("system", "Help."), Message("user", "Do it.")), tools, reference)


def probes(row, *others):
    return dict(wrong_answers(row, others))


def test_every_kind_of_probe_is_made_where_it_is_wrong():
    found = probes(prompt(ToolCall("f", {"a": 1, "b": 2})), prompt(ToolCall("g", {})))
    on_calls = {"every tool called", "shuffled arguments", "another row's reference"}
    assert set(found) == {"empty text", "the prompt's own text", "reference inside think"} | on_calls
    assert found["the prompt's own text"] == "Help.\nDo it."
    assert '{"name": "f", "arguments": {"a": 2, "b": 1}}' in found["shuffled arguments"]
    assert '{"name": "f", "arguments": {"a": 1, "b": 2}}, {"name": "g", "arguments": {}}' in found["every tool called"]
    assert '[{"name": "g", "arguments": {}}]' in found["another row's reference"]


@pytest.mark.parametrize(
    ("row", "other"),
    [
        (prompt(ToolCall("f", {"a": 1, "b": Decimal("1.0")}), tools=(F,)), prompt(ToolCall("f", {"b": 1, "a": 1}))),
        (prompt(ToolCall("f", {"a": 1}), tools=(F,)), prompt(ToolCall("f", {"a": 1, "unit": "cm"}))),
        (prompt(tools=()), prompt()),
    ],
)
def test_a_probe_that_would_be_right_is_not_made(row, other):
    assert set(probes(row, other)) == {"empty text", "the prompt's own text", "reference inside think"}


@pytest.mark.parametrize(
    ("values", "other", "made"),
    [
        ({"a": (1,)}, {"a": 1}, False),
        ({"a": (1,)}, {"a": True}, False),  # bfcl takes them to be equal inside an object
        ({"a": (1,)}, {"a": "1.0"}, False),
        ({"a": ("New York",)}, {"a": "new-york."}, False),
        ({"a": ("Zoe\u0308",)}, {"a": "Zo\u00eb"}, False),
        ({"a": (1, 2)}, {"a": 2}, False),
        ({"a": (1,), "b": (2, "")}, {"a": 1}, False),
        ({"a": (1,), "b": (2,)}, {"a": 1}, True),
        ({"a": (1,)}, {"a": 1, "b": 2}, True),
        ({"a": (1,)}, {"a": 1, "unit": ""}, False),  # bfcl takes "" for what may be left out
        ({"a": (1,)}, {"a": 1, "unit": []}, False),  # and reads a text as the list of its characters
        ({"a": (1,), "unit": ("cm",)}, {"a": 1, "unit": ""}, False),
        ({"a": (1,), "unit": ("mm",)}, {"a": 1, "unit": ""}, True),
        ({"a": (1,)}, {"a": 1, "b": ""}, True),
        ({"a": ({"k": ["x", "y"]},)}, {"a": {"k": "Y"}}, False),
        ({"a": ({"k": ["x", "y"]},)}, {"a": {"k": "z"}}, True),
        ({"a": ({"k": ["x"]},)}, {"a": {"l": "x"}}, True),
        ({"a": ([1, 2],)}, {"a": [2, 1]}, True),
        ({"a": ([1, "b"],)}, {"a": [1, "B"]}, False),
        ({"a": (None,)}, {"a": "none"}, True),
        ({}, {"a": "absent"}, True),
        ({"a": (None,)}, {"a": 0}, True),
        ({"a": ("9" * 400,)}, {"a": "1e99999999"}, True),
        ({"a": (10**600,)}, {"a": 10**600}, False),
    ],
)
def test_the_next_rows_reference_is_a_probe_only_where_no_mode_accepts_it(values, other, made):
    row = replace(prompt(ToolCall("f", {})), accepted=(AcceptedCall("f", values),))
    assert ("another row's reference" in probes(row, prompt(ToolCall("f", other)))) == made


def test_the_reference_counts_though_what_is_accepted_is_written_otherwise():
    """BFCL's Java rows: the reference holds the text of a literal, what is accepted its value."""
    row = replace(prompt(ToolCall("f", {"a": "null", "b": "null"})), accepted=(AcceptedCall("f", {"a": (None,), "b": (None,)}),))
    assert "shuffled arguments" not in probes(row)


def test_two_calls_that_mirror_each_other_are_shuffled_into_two_alike():
    found = probes(prompt(ToolCall("f", {"a": 1, "b": 2}), ToolCall("f", {"a": 2, "b": 1})))
    assert found["shuffled arguments"].count('{"a": 2, "b": 1}') == 2


def test_no_call_can_be_answered_in_two_ways():
    assert len(right_answers(prompt())) == 2
    assert len(right_answers(prompt(ToolCall("g", {})))) == 1
