"""The character that an explanation points at is the one a person would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.calls.fault import Fault
from toolrl.calls.locate import locate
from toolrl.calls.match import explain
from toolrl.calls.parse import Calls, parse
from toolrl.reward.verifier import make_verifier
from toolrl.types import Prompt, Reason, ToolCall

PROMPT = Prompt("p", "s", (), (), (ToolCall("f", {"x": 1}),))


def fault_of(text, reference=PROMPT.reference):
    verdict = make_verifier("strict")(Prompt("p", "s", (), (), reference), text)
    return Fault(verdict.reason, verdict.path, verdict.expected, verdict.got)


def block(content):
    return f"<think>a</think>\n<tool_call>{content}</tool_call>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("  ▲no tags at all", Reason.NO_THINK),
        ("▲hm <think>a</think>", Reason.TEXT_OUTSIDE),
        ("▲<tool_call>[]</tool_call><think>a</think>", Reason.REVERSED_TAGS),
        ("<think>▲ </think>", Reason.EMPTY_THINK),
        ("<think>a <tool_call>▲  ", Reason.UNCLOSED_THINK),
        ("<think>a ▲<think> b</think>", Reason.MULTIPLE_THINK),
        ("<think>a ▲<tool_call>[]</tool_call></think>", Reason.CALL_INSIDE_THINK),
        ("<think>a</think> ▲sorry", Reason.NO_TOOL_CALL),
        ("<think>a</think> ▲```json\n[]```", Reason.CODE_FENCE),
        ("<think>a</think> ▲well <tool_call>[]</tool_call>", Reason.TEXT_OUTSIDE),
        ("<think>a</think> <tool_call>[▲", Reason.UNCLOSED_TOOL_CALL),
        (block("▲```json\n[]\n```"), Reason.CODE_FENCE),
        (block('[{"name": "f", "arguments": {"x": 1▲]'), Reason.INVALID_JSON),
        (block('[{"name": "f", "arguments": {"x": ▲NaN}}]'), Reason.INVALID_JSON),
        (block('[{"name": "f", "arguments": {"x": ▲1e999}}]'), Reason.INVALID_JSON),
        (block('[{"name": "f", "arguments": {"x": "\\"NaN", "y": ▲NaN}}]'), Reason.INVALID_JSON),
        (block('[{"name": "f", "arguments": {"1e999": ▲1e999}}]'), Reason.INVALID_JSON),
        (block('[{"name": "f", "arguments": {}}] ▲[]'), Reason.INVALID_JSON),
        (block('[{"name": "f", "arguments": {}}, {"name": "f", ▲"n\\u0061me": "g"}]'), Reason.DUPLICATE_KEY),
        (block(' ▲{"name": "f", "arguments": {}}'), Reason.NOT_A_LIST),
        (block('[{"name": "f", "arguments": {"name": 1}}, ▲7]'), Reason.MALFORMED_CALL),
        (block('[{"arguments": {"name": "a"}, "name": ▲5}]'), Reason.MALFORMED_CALL),
        (block('[{"name": "f", "arguments": ▲"{}"}]'), Reason.DOUBLE_ENCODED),
        (block("[]") + "▲<tool_call>[]</tool_call>", Reason.MULTIPLE_TOOL_CALL),
        (block("[]") + " ▲bye", Reason.TEXT_OUTSIDE),
        (block('[{"name": "f", "arguments": {"x" : ▲2}}]'), Reason.WRONG_VALUE),
        (block('[{"name": ▲"g", "arguments": {"x": 1}}]'), Reason.WRONG_NAME),
        (block('[{"name": "f", "arguments": ▲{}}]'), Reason.MISSING_ARGUMENT),
        (block('[{"name": "f", "arguments": {"x": 1, "odd key": ▲[2]}}]'), Reason.UNEXPECTED_ARGUMENT),
        (block('[{"name": "f", "arguments": {"x": 1}}, ▲{"name": "f", "arguments": {"x": 1}}]'), Reason.WRONG_COUNT),
    ],
)
def test_the_place_of_every_kind_of_fault(text, reason):
    place = text.index("▲")
    text = text.replace("▲", "")
    fault = fault_of(text)
    assert fault.reason is reason
    assert locate(text, fault) == place


def test_a_place_inside_nested_values():
    text = block('[{"name": "f", "arguments": {"x": {"a": [1, {"b.c": ▲3}]}}}]')
    place = text.index("▲")
    text = text.replace("▲", "")
    fault = fault_of(text, (ToolCall("f", {"x": {"a": [1, {"b.c": 2}]}}),))
    assert fault.path == '[0].arguments.x.a[1]["b.c"]'
    assert locate(text, fault) == place


def test_what_no_place_shows_has_none():
    assert locate(block("[]"), fault_of(block("[]"))) is None  # wrong_count at reference[0]
    assert locate("a", Fault(Reason.TOO_LARGE)) is None


TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "```", " ", "é"]
JSON = ["[", "]", '{"name": "f", ', '"arguments": {"x": 1', "}}", '"', "\\", ",", ":", "NaN"]


@given(st.lists(st.sampled_from(TAGS + JSON), max_size=12).map("".join))
def test_every_text_has_a_place_or_none_and_never_an_exception(text):
    fault = parse(text)
    if isinstance(fault, Calls):
        fault = explain(fault.calls, PROMPT.reference, ())
    if isinstance(fault, Fault):
        place = locate(text, fault)
        assert place is None or 0 <= place <= len(text)
