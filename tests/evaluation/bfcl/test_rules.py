"""Our verdict on a completion: the calls of its only block, whatever stands around it, and the form told apart."""

import pytest

from toolrl.evaluation.benchmark import Item
from toolrl.evaluation.bfcl.rules import verdict
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

TOOL = Tool("f", "", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
BLOCK = '<tool_call>[{"name": "f", "arguments": {"city": "paris"}}]</tool_call>'


def judged(category, text):
    calls = ((ToolCall("f", {"city": "Paris"}),), (AcceptedCall("f", {"city": ("Paris",)}),)) if "relevance" not in category else ((), ())
    found = verdict(Item("i", category, Prompt("i", "bfcl", (Message("user", "?"),), (TOOL,), calls[0], accepted=calls[1])), text)
    assert (found.reward == 1.0) == found.bfcl_right == (found.reason == "correct")
    return found.reason, found.path, found.format_right, found.content_right


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<think>x</think>{BLOCK}", ("correct", "", True, True)),
        (BLOCK, ("correct", "", False, True)),
        (f"<think>{BLOCK}</think>Here: {BLOCK}", ("correct", "", False, True)),
        (BLOCK.replace("paris", "Rome"), ("wrong_value", "[0].arguments.city", False, False)),
        (BLOCK + BLOCK, ("multiple_tool_call", "", False, False)),
        ('{"name": "f", "arguments": {"city": "Paris"}}', ("no_tool_call", "", False, True)),
        ("", ("no_tool_call", "", False, False)),
        ("<tool_call>[]</tool_call>", ("wrong_count", "reference[0]", False, False)),
    ],
)
def test_where_calls_are_asked_for(text, expected):
    assert judged("live_simple", text) == expected


@pytest.mark.parametrize(
    ("category", "text", "expected"),
    [
        ("irrelevance", "<think>x</think>None fits.", ("correct", "", True, True)),
        ("irrelevance", "", ("correct", "", False, True)),
        ("live_irrelevance", "<tool_call>[f(]</tool_call>", ("correct", "", False, True)),
        ("live_irrelevance", BLOCK, ("unexpected_call", "[0]", False, False)),
        ("live_relevance", BLOCK, ("correct", "", False, True)),
        ("live_relevance", "<think>x</think><tool_call>[]</tool_call>", ("wrong_count", "", True, False)),
        ("live_relevance", "None fits.", ("no_tool_call", "", False, False)),
    ],
)
def test_where_none_is_or_any(category, text, expected):
    assert judged(category, text) == expected
