import pytest

from toolrl.data.history import read_calls, split_turn
from toolrl.errors import DataError
from toolrl.types import Message, ToolCall

F, G = ToolCall("f", {"a": 1}), ToolCall("g", {})


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ("Nothing to call.", "Nothing to call.", ()),
        ("<think>Hm.</think>\nNothing.", "<think>Hm.</think>\nNothing.", ()),
        ('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', "", (F,)),
        (
            '<think>\nHm.\nYes.\n</think>\n<tool_call>\n[{"name": "f", "arguments": {"a": 1}}, {"name": "g"}]\n</tool_call>',
            "Hm.\nYes.",
            (F, G),
        ),
        ('<tool_call>{"name": "f", "parameters": {"a": 1}}\n{"name": "g"}</tool_call>', "", (F, G)),
        (
            'I call.<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call> <tool_call>{"name": "g"}</tool_call>',
            "I call.",
            (F, G),
        ),
        ('<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}</tool_call>', "", (ToolCall("f", {"a": "</tool_call>"}),)),
    ],
)
def test_calls_leave_the_text_of_a_turn_whatever_form_they_have(text, content, calls):
    assert split_turn(text, "messages[1]") == Message("assistant", content, calls)


@pytest.mark.parametrize(
    "block", ["<tool_call>", "<tool_call>{", '<tool_call>{"name": "f"}', "<tool_call>f(1)</tool_call>", "<tool_call>3</tool_call>"]
)
def test_a_block_that_cannot_be_read_is_an_error_with_its_place(block):
    with pytest.raises(DataError, match=r"messages\[1\]"):
        split_turn(block, "messages[1]")


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "3", '{"a": 1, "a": 2}'])
def test_arguments_must_be_an_object_or_the_text_of_one(arguments):
    with pytest.raises(DataError, match=r"answer\[0\]\.arguments"):
        read_calls([{"name": "f", "arguments": arguments}], "answer")


@pytest.mark.parametrize("arguments", ["", None, "{}", {}])
def test_no_arguments_are_an_empty_object(arguments):
    assert read_calls([{"name": "g", "arguments": arguments}], "answer") == (G,)
