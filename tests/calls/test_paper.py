"""The paper's rules: its surprising verdicts as listed, and its crashes as faults."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.calls.fault import Fault
from toolrl.calls.jsontext import MAX_CHARS
from toolrl.calls.paper import explain_paper, parse_paper
from toolrl.types import Reason, ToolCall

T = "<think>Because.</think>"
F = '[{"name": "f", "arguments": {"a": 1}}]'
B = f"<tool_call>{F}</tool_call>"
REFERENCE = (ToolCall("f", {"a": 1}),)


def verdict(text, reference=REFERENCE):
    """The reason of the paper's 0, or None for its 1."""
    parsed = parse_paper(text)
    fault = parsed if isinstance(parsed, Fault) else explain_paper(parsed, reference)
    return fault and fault.reason


@pytest.mark.parametrize(
    "text",
    [
        T + B,
        f"Sure! {T} so {B} done",
        f"</think>Because.<think>{B}",
        f"<think></think>{B}",
        f"<think>Because.{B}</think>",
        B + T,
        f"{T}<tool_call>[]</tool_call>{B}",
        f"{T}<tool_call>oops</tool_call>{B}",
        f"<tool_call>oops</tool_call><|im_start|>assistant\n{T}{B}",
        f'{T}<tool_call>"[{{\\"name\\": \\"f\\", \\"arguments\\": {{\\"a\\": 1}}}}]"</tool_call>',
        f"{T}<tool_call>{F[1:-1]}</tool_call>",
        T + B.replace('"a": 1', '"a": 2, "a": 1'),
        T + B.replace('"name"', '"id": 7, "name"'),
        f"{T}<tool_call>\u00a0{F}\u2003</tool_call>",
    ],
)
def test_surprising_ones(text):
    assert verdict(text) is None


def test_think_tags_only_inside_an_argument_count():
    text = B.replace("1", '"<think></think>"')
    assert verdict(text, (ToolCall("f", {"a": "<think></think>"}),)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.NO_TOOL_CALL),
        (B, Reason.NO_THINK),
        (f"<think>Because.{B}", Reason.UNCLOSED_THINK),
        (f"{T}{B}<|im_start|>assistant\n{B}", Reason.NO_THINK),  # what stands before the header is forgotten
        (f"<think>I use <tool_call> tags.</think>{B}", Reason.INVALID_JSON),
        (f"{T}{B}<tool_call>oops</tool_call>", Reason.INVALID_JSON),
        (f"{T}<tool_call>null</tool_call>", Reason.NOT_A_LIST),
        (f"{T}<tool_call>5</tool_call>", Reason.NOT_A_LIST),  # crashes there
        (f"{T}<tool_call>true</tool_call>", Reason.NOT_A_LIST),  # crashes there
        (f"{T}<tool_call>{'[' * 100_000}{']' * 100_000}</tool_call>", Reason.TOO_LARGE),  # crashes there
        (T + B.replace("1", "9" * 5000), Reason.TOO_LARGE),  # crashes there
        (T + B + " " * MAX_CHARS, Reason.TOO_LARGE),
        (f'{T}<tool_call>"oops"</tool_call>', Reason.INVALID_JSON),
        (f'{T}<tool_call>"\\"x\\""</tool_call>', Reason.MALFORMED_CALL),
        (f"{T}<tool_call>[5]</tool_call>", Reason.MALFORMED_CALL),
        (f"{T}<tool_call>{{}}</tool_call>", Reason.MALFORMED_CALL),
        (T + B.replace("1", "1.0"), Reason.WRONG_TYPE),
        (T + B.replace("1", '"1"'), Reason.WRONG_TYPE),
        (T + B.replace("1", "true"), Reason.WRONG_TYPE),
        (T + B.replace("1", "2"), Reason.WRONG_VALUE),
        (T + B.replace("1", "NaN"), Reason.WRONG_TYPE),
        (T + B.replace('"a": 1', '"a": 1, "b": 2'), Reason.UNEXPECTED_ARGUMENT),
        (T + B.replace('"a": 1', ""), Reason.MISSING_ARGUMENT),
        (T + B.replace('{"a": 1}', '"x"'), Reason.WRONG_TYPE),
        (T + B.replace('"f"', '["f"]'), Reason.WRONG_NAME),
        (T + B.replace("[{", '[{"name": "g", "arguments": {}}, {'), Reason.WRONG_COUNT),
    ],
)
def test_zeros_have_a_reason(text, reason):
    assert verdict(text) is reason


def test_two_blocks_with_one_call_each_lose_the_first():
    both = (ToolCall("f", {"a": 1}), ToolCall("f", {"a": 2}))
    assert verdict(T + B + B.replace("1", "2"), both) is Reason.WRONG_COUNT


def test_an_argument_that_holds_the_closing_tag_cuts_the_block():
    assert verdict(T + B.replace("1", '"</tool_call>"'), (ToolCall("f", {"a": "</tool_call>"}),)) is Reason.INVALID_JSON


def test_no_call_is_right_only_as_an_empty_list():
    assert verdict(f"{T}<tool_call>[]</tool_call>", ()) is None
    assert verdict(f'{T}<tool_call>"\\"\\""</tool_call>', ()) is None  # a text without characters has no calls either
    assert verdict(f"{T}I cannot do that.", ()) is Reason.NO_TOOL_CALL
    assert verdict(T + B, ()) is Reason.UNEXPECTED_CALL


def test_values_are_compared_as_python_writes_them():
    assert verdict(T + B.replace("1", "1.50"), (ToolCall("f", {"a": Decimal("1.5")}),)) is None
    assert verdict(T + B.replace("1", "1e0"), (ToolCall("f", {"a": Decimal("1.0")}),)) is None
    assert verdict(T + B.replace("1", '"é"'), (ToolCall("f", {"a": "e\u0301"}),)) is Reason.WRONG_VALUE
    assert verdict(T + B.replace("1", "[2, 1]"), (ToolCall("f", {"a": [1, 2]}),)) is Reason.WRONG_VALUE
    assert verdict(T + B.replace("1", '{"y": 1, "x": 2}'), (ToolCall("f", {"a": {"x": 2, "y": 1}}),)) is None


def test_calls_are_a_multiset():
    two = B.replace("]<", f", {F[1:-1]}]<".replace("1", "2"))
    assert verdict(T + two, (ToolCall("f", {"a": 2}), ToolCall("f", {"a": 1}))) is None
    assert verdict(T + two, (ToolCall("f", {"a": 1}), ToolCall("f", {"a": 1}))) is Reason.WRONG_VALUE


def test_opening_tags_without_end_are_read_in_linear_time():
    assert verdict(T + "<tool_call>" * 90_000) is Reason.NO_TOOL_CALL


PIECES = st.sampled_from(
    ["<think>", "</think>", "<tool_call>", "</tool_call>", F, "[]", '"[]"', "5", "NaN", '"', "<|im_start|>assistant", "\ud800", T, B]
)


@settings(max_examples=500)
@given(st.text() | st.lists(PIECES, max_size=10).map("".join))
def test_no_text_raises(text):
    verdict(text)
