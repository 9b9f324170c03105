"""The calls are found whatever the form, so that right content in a wrong form is seen."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.calls.jsontext import MAX_CHARS
from toolrl.calls.lenient import content_right, find_calls, quotes_matter
from toolrl.types import Tool, ToolCall

T = "<think>Because.</think>"
C = '{"name": "f", "arguments": {"a": 1}}'
ONE = (ToolCall("f", {"a": 1}),)
TWO = (*ONE, ToolCall("g", {}))
SCHEMA = {
    "properties": {
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "sure": {"type": "boolean"},
        "rows": {"type": "array", "items": {"type": "integer"}},
        "text": {"type": "string"},
        "either": {"type": ["string", "integer"]},
        "free": {},
    }
}
TOOLS = (Tool("f", "", SCHEMA),)


@pytest.mark.parametrize(
    "text",
    [
        f"{T}<tool_call>[{C}]</tool_call>",
        f"<tool_call>[{C}]</tool_call>",
        f"<tool_call>{C}</tool_call>",
        f"{T}[{C}]",
        C,
        f"Sure, {C} it is.",
        f"{T}```json\n[{C}]\n```",
        f"<tool_call>[{C}",
        f"<tool_call>[{C}]",
        f"<think>Because. <tool_call>[{C}]</tool_call></think>",
        f"<think>Perhaps {{\"name\": \"g\", \"arguments\": {{}}}}?</think>[{C}]",
        C.replace("arguments", "parameters"),
        C.replace("arguments", "args").replace("name", "function"),
        '{"type": "function", "function": {"name": "f", "arguments": "{\\"a\\": 1}"}}',
        '{"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{\\"a\\": 1}"}}]}',
        '"[{\\"name\\": \\"f\\", \\"arguments\\": {\\"a\\": 1}}]"',
        C.replace('"a": 1', '"a": 2, "a": 1'),
        f'He said "hello" and [1, {{"x": 2}}]: {C}',
    ],
)  # fmt: skip
def test_one_call_is_found(text):
    assert find_calls(text) == ONE


@pytest.mark.parametrize(
    "text",
    [
        f'{T}<tool_call>{C}</tool_call>\n<tool_call>{{"name": "g", "arguments": {{}}}}</tool_call>',
        f'{C}\n{{"name": "g"}}',
        f'[[{C}], ["{{\\"name\\": \\"g\\"}}"]]',
    ],
)
def test_several_calls_are_found_in_their_order(text):
    assert find_calls(text) == TWO


@pytest.mark.parametrize(
    "text", ["I cannot do that.", f"{T}No tool fits.", f"{T}<tool_call>[]</tool_call>", '{"name": "Ann", "age": 3}', "[]"]
)
def test_no_call_is_made(text):
    assert find_calls(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        f"{T}<tool_call>[oops]</tool_call>",
        f"{T}<tool_call>[5]</tool_call>",
        f"<think>{C}</think><tool_call>oops</tool_call>",
        "x" * (MAX_CHARS + 1),
    ],
)
def test_what_says_nothing_or_cannot_be_read_is_not_no_call(text):
    assert find_calls(text) is None
    assert not content_right(find_calls(text), (), TOOLS)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"n": "3"}, {"n": 3}),
        ({"x": "1.50"}, {"x": Decimal("1.5")}),
        ({"sure": "True"}, {"sure": True}),
        ({"rows": "[1, 2]"}, {"rows": [1, 2]}),
        ({"rows": ["1", 2]}, {"rows": [1, 2]}),
    ],
)
def test_quotes_are_forgiven_where_the_schema_asks_for_no_text(given, meant):
    got, expected = [ToolCall("f", given)], [ToolCall("f", meant)]
    assert content_right(got, expected, TOOLS)
    assert quotes_matter(got, expected, TOOLS)
    assert content_right(expected, got, TOOLS)  # a label with the same fault


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"text": "3"}, {"text": 3}),
        ({"either": "3"}, {"either": 3}),
        ({"free": "3"}, {"free": 3}),
        ({"n": "3.5"}, {"n": 3}),
        ({"n": "x"}, {"n": 3}),
    ],
)
def test_quotes_count_elsewhere(given, meant):
    got, expected = [ToolCall("f", given)], [ToolCall("f", meant)]
    assert not content_right(got, expected, TOOLS)
    assert not quotes_matter(got, expected, TOOLS)


def test_another_number_of_calls_is_wrong_content():
    assert not content_right(TWO, ONE, TOOLS)
    assert not content_right((), ONE, TOOLS)


def test_hostile_text_is_searched_in_linear_time():
    for piece in ("[", '"', '""', "{}", '{"name": "f"}', "<tool_call>["):
        find_calls(piece * (1_000_000 // len(piece)))


@settings(max_examples=500)
@given(
    st.text()
    | st.lists(st.sampled_from([C, "[", "]", "{", '"', "\\", "<tool_call>", "</think>", '"{}"', "\ud800", "1e999", "x"])).map("".join)
)
def test_no_text_raises(text):
    calls = find_calls(text)
    content_right(calls, ONE, TOOLS)
