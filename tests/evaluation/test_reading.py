"""One reading of a completion: its only block outside the reasoning, whatever stands around it, or why there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.calls.fault import Fault
from toolrl.calls.jsontext import MAX_CHARS
from toolrl.calls.match import explain
from toolrl.evaluation.reading import form_right, judged, read_calls
from toolrl.types import Message, Prompt, Reason, Tool, ToolCall

CALL = ToolCall("book", {"city": "Paris"})
BLOCK = '<tool_call>[{"name": "book", "arguments": {"city": "Paris"}}]</tool_call>'
PROMPT = Prompt("p", "test", (Message("user", "Book it."),), (Tool("book", "", {"properties": {"days": {"type": "integer"}}}),), (CALL,))
PIECES = ["<think>", "</think>", "<tool_call>", "</tool_call>", "[]", BLOCK, "[{", "x", " ", "\n", "```"]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (BLOCK, (CALL,)),
        (f"<think>x</think>{BLOCK}", (CALL,)),
        (f"<think>{BLOCK}</think>Booking.\n{BLOCK} Done.", (CALL,)),
        ("<tool_call>[]</tool_call>", ()),
    ],
)
def test_the_only_block_is_read_with_reasoning_and_without(text, calls):
    assert read_calls(text) == calls


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.NO_TOOL_CALL),
        ("Paris is booked.", Reason.NO_TOOL_CALL),
        ("<think>x</think>Paris is booked.", Reason.NO_TOOL_CALL),
        (f"<think>x{BLOCK}", Reason.UNCLOSED_THINK),
        (f"<think>{BLOCK}</think>", Reason.NO_TOOL_CALL),
        (BLOCK + BLOCK, Reason.MULTIPLE_TOOL_CALL),
        (f"x {BLOCK} y {BLOCK}", Reason.MULTIPLE_TOOL_CALL),
        ("Well. <tool_call>book(city='Paris')</tool_call>", Reason.INVALID_JSON),
        ('<tool_call>[{"name": "book"', Reason.UNCLOSED_TOOL_CALL),
        ('<tool_call>{"name": "book", "arguments": {}}</tool_call>', Reason.NOT_A_LIST),
        ("x" * (MAX_CHARS + 1), Reason.TOO_LARGE),
    ],
)
def test_why_no_calls_are_read_is_told(text, reason):
    fault = read_calls(text)
    assert isinstance(fault, Fault)
    assert fault.reason is reason


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_any_text_has_calls_or_a_fault(text):
    found = read_calls(text)
    assert isinstance(found, Fault | tuple)
    if form_right(text) and "<tool_call>" in text.rpartition("</think>")[2]:
        assert isinstance(found, tuple)


@pytest.mark.parametrize("text", ["<think></think>", "<think>", "</think>", "<think></think><tool_call>", "<tool_call>"])
def test_the_reasons_of_hostile_texts_are_found_in_linear_time(text):
    assert isinstance(read_calls(text * (MAX_CHARS // len(text))), Fault)  # quadratic time would be minutes


@pytest.mark.parametrize(
    ("text", "right"),
    [(f"<think>x</think>{BLOCK}", True), ("<think>x</think>No tool fits.", True), (BLOCK, False), (f"<think>x</think>y{BLOCK}", False)],
)
def test_the_form_is_the_strict_one(text, right):
    assert form_right(text) is right


def test_a_verdict_scores_the_calls_and_tells_the_form_apart():
    def verdict(text):
        return judged(PROMPT, text, lambda calls: explain(calls, PROMPT.reference, PROMPT.tools))

    assert (verdict(BLOCK).reward, verdict(BLOCK).format_right, verdict(BLOCK).content_right) == (1.0, False, True)
    assert verdict(f"<think>x</think>{BLOCK}").format_right
    wrong = verdict(f"<think>x</think>{BLOCK.replace('Paris', 'Rome')}")
    assert (wrong.reward, wrong.reason, wrong.path, wrong.format_right) == (0.0, Reason.WRONG_VALUE, "[0].arguments.city", True)
    bare = verdict('{"name": "book", "arguments": {"city": "Paris"}}')
    assert (bare.reward, bare.reason, bare.content_right) == (0.0, Reason.NO_TOOL_CALL, True)
