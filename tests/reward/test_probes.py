"""Probes are wrong for their prompt, or they are not made."""

from decimal import Decimal

import pytest

from toolrl.reward.probes import right_answers, wrong_answers
from toolrl.types import Message, Prompt, Tool, ToolCall

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


def test_two_calls_that_mirror_each_other_are_shuffled_into_two_alike():
    found = probes(prompt(ToolCall("f", {"a": 1, "b": 2}), ToolCall("f", {"a": 2, "b": 1})))
    assert found["shuffled arguments"].count('{"a": 2, "b": 1}') == 2


def test_no_call_can_be_answered_in_two_ways():
    assert len(right_answers(prompt())) == 2
    assert len(right_answers(prompt(ToolCall("g", {})))) == 1
