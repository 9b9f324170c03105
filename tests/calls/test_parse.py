"""The strict form: every departure from it has its own reason, and no text raises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.calls.jsontext import MAX_CHARS
from toolrl.calls.parse import MAX_CALLS, Answer, Calls, parse, without_think
from toolrl.types import Reason, ToolCall

T = "<think>Because.</think>"
F = '[{"name": "f", "arguments": {"a": 1}}]'
B = f"<tool_call>{F}</tool_call>"
CALLS = Calls((ToolCall("f", {"a": 1}),))


@pytest.mark.parametrize(
    "text",
    [
        T + B,
        f" \n{T}\n\n{B}\n \u00a0",
        f"<think>\nBecause.\n</think>\n<tool_call>\n{F}\n</tool_call>",
        f"<think>I answer within <tool_call> tags.</think>{B}",  # a tag that is only mentioned
        f"<think>It ends with </tool_call>.</think>{B}",
        f"<think>a < b, and <thin> too</think>{B}",
    ],
)
def test_the_form_is_right(text):
    assert parse(text) == CALLS


@pytest.mark.parametrize("tag", ["</tool_call>", "<tool_call>", "<think>", "</think>", "<think>x</think><tool_call>[]</tool_call>", "```"])
def test_a_tag_inside_a_json_string_belongs_to_the_string(tag):
    text = T + B.replace("1", f'"{tag}"')
    assert parse(text) == Calls((ToolCall("f", {"a": tag}),))


def test_no_calls_and_several_calls_are_lists_too():
    assert parse(T + "<tool_call>[]</tool_call>") == Calls(())
    assert len(parse(T + f"<tool_call>[{', '.join([F[1:-1]] * 3)}]</tool_call>").calls) == 3


@pytest.mark.parametrize(("text", "answer"), [(T + " Sorry, no tool fits. ", "Sorry, no tool fits. "), (T, ""), (T + F, F)])
def test_a_text_without_tags_after_the_reasoning_is_an_answer(text, answer):
    assert parse(text) == Answer(answer)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.NO_THINK),
        ("Hello", Reason.NO_THINK),
        (B, Reason.NO_THINK),
        (B.replace("1", '"<think>x</think>"'), Reason.NO_THINK),
        (f"Because.</think>{B}", Reason.NO_THINK),
        (f"</tool_call>{F}", Reason.NO_THINK),
        (f"<think>Because.{B}", Reason.UNCLOSED_THINK),
        ("<think>Because", Reason.UNCLOSED_THINK),
        (f"<think></think>{B}", Reason.EMPTY_THINK),
        (f"<think> \n\t</think>{B}", Reason.EMPTY_THINK),
        (f"</think>Because.<think>{B}", Reason.REVERSED_TAGS),
        (B + T, Reason.REVERSED_TAGS),
        (f"<tool_call>oops</tool_call>{T}", Reason.REVERSED_TAGS),
        (f"<think>a<think>b</think></think>{B}", Reason.MULTIPLE_THINK),
        (f"<think>a<think>b</think>{B}", Reason.MULTIPLE_THINK),
        (f"{T}<think>again</think>{B}", Reason.MULTIPLE_THINK),
        (f"{T}</think>{B}", Reason.MULTIPLE_THINK),
        (T + B + T, Reason.MULTIPLE_THINK),
        (f"<think>Because.{B}</think>", Reason.CALL_INSIDE_THINK),
        (f"<think>Because.{B}</think>{B}", Reason.CALL_INSIDE_THINK),
        (f"<think>Because.<tool_call>{F}</think></tool_call>", Reason.CALL_INSIDE_THINK),
        (f"Sure! {T}{B}", Reason.TEXT_OUTSIDE),
        (f"{T}So I call:{B}", Reason.TEXT_OUTSIDE),
        (f"{T}{B}Done.", Reason.TEXT_OUTSIDE),
        (f"{T}{B}</tool_call>", Reason.TEXT_OUTSIDE),
        (f"```json\n{T}{B}\n```", Reason.CODE_FENCE),
        (f"{T}```json\n{B}\n```", Reason.CODE_FENCE),
        (f"{T}{B}\n```", Reason.CODE_FENCE),
        (f"{T}<tool_call>```json\n{F}\n```</tool_call>", Reason.CODE_FENCE),
        (f"{T}{F}</tool_call>", Reason.NO_TOOL_CALL),
        (T + B + B, Reason.MULTIPLE_TOOL_CALL),
        (f"{T}{B}and{B}", Reason.MULTIPLE_TOOL_CALL),
        (f"{T}<tool_call>{F}", Reason.UNCLOSED_TOOL_CALL),
        (f"{T}<tool_call>{F[:-5]}", Reason.UNCLOSED_TOOL_CALL),
        (f"{T}<tool_call>", Reason.UNCLOSED_TOOL_CALL),
        (f"{T}<tool_call></tool_call>", Reason.INVALID_JSON),
        (f"{T}<tool_call>{F[:-1]}</tool_call>", Reason.INVALID_JSON),
        (f"{T}<tool_call>{F}{F}</tool_call>", Reason.INVALID_JSON),
        (T + B.replace("1", "NaN"), Reason.INVALID_JSON),
        (T + B.replace("1", "Infinity"), Reason.INVALID_JSON),
        (T + B.replace("1", "1e999"), Reason.INVALID_JSON),
        (T + B.replace("1", '"x\ny"'), Reason.INVALID_JSON),
        (T + B.replace('"', "'"), Reason.INVALID_JSON),
        (T + B.replace('"a": 1', '"a": 1, "a": 1'), Reason.DUPLICATE_KEY),
        (T + B.replace("1", "9" * 5000), Reason.TOO_LARGE),
        (T + B.replace("1", "[" * 100_000 + "]" * 100_000), Reason.TOO_LARGE),
        (f"{T}<tool_call>{'[' * 100_000}", Reason.TOO_LARGE),
        (T + B + " " * MAX_CHARS, Reason.TOO_LARGE),
        (f"{T}<tool_call>[{', '.join([F[1:-1]] * (MAX_CALLS + 1))}]</tool_call>", Reason.TOO_LARGE),
        (f"{T}<tool_call>{F[1:-1]}</tool_call>", Reason.NOT_A_LIST),
        (f"{T}<tool_call>5</tool_call>", Reason.NOT_A_LIST),
        (f"{T}<tool_call>null</tool_call>", Reason.NOT_A_LIST),
        (f'{T}<tool_call>"no call"</tool_call>', Reason.NOT_A_LIST),
        (f'{T}<tool_call>"[]"</tool_call>', Reason.DOUBLE_ENCODED),
        (f'{T}<tool_call>["{{}}"]</tool_call>', Reason.DOUBLE_ENCODED),
        (T + B.replace('{"a": 1}', '"{}"'), Reason.DOUBLE_ENCODED),
        (T + B.replace('{"a": 1}', '"a"'), Reason.MALFORMED_CALL),
        (T + B.replace('{"a": 1}', "[]"), Reason.MALFORMED_CALL),
        (T + B.replace('{"a": 1}', "null"), Reason.MALFORMED_CALL),
        (T + B.replace('"f"', "1"), Reason.MALFORMED_CALL),
        (T + B.replace("arguments", "parameters"), Reason.MALFORMED_CALL),
        (T + B.replace('"name"', '"id": 1, "name"'), Reason.MALFORMED_CALL),
        (f"{T}<tool_call>[5]</tool_call>", Reason.MALFORMED_CALL),
        (f"{T}<tool_call>[{{}}]</tool_call>", Reason.MALFORMED_CALL),
        (f"{T}<tool_call>[[]]</tool_call>", Reason.MALFORMED_CALL),
    ],
)
def test_every_departure_has_its_reason(text, reason):
    assert parse(text).reason is reason


def test_a_malformed_call_is_pointed_at():
    assert parse(f'{T}<tool_call>[{F[1:-1]}, {{"name": 1, "arguments": {{}}}}]</tool_call>').path == "[1].name"


def test_a_lone_surrogate_is_a_value_like_another():
    assert parse(T + B.replace("1", '"\\ud800"')) == Calls((ToolCall("f", {"a": "\ud800"}),))
    assert parse("\ud800").reason is Reason.NO_THINK
    parse("\ud800").got.encode()


PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        F,
        "[]",
        "{}",
        '"',
        "\\",
        "```",
        " ",
        "\n",
        "x",
        "1e999",
        "\ud800",
        "\x00",
        "[" * 200,
        T,
        B,
    ]
)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (T + B, B),
        (f" \n{T}\n\n{B}\n", f"{B}\n"),
        (f"<think>as in <tool_call>, closed</think>\n{B}", B),
        (f'{T}<tool_call>[{{"name": "f", "arguments": {{"a": "</think>"}}}}]</tool_call>', B.replace("1", '"</think>"')),
        (f"{T}It is warm.", "It is warm."),
        (T, ""),
        (B, B),  # no reasoning
        (f"<think>never closed{B}", f"<think>never closed{B}"),
        (f"First.{T}{B}", f"First.{T}{B}"),  # does not begin with it
        ("", ""),
    ],
)
def test_what_stands_behind_the_reasoning_is_kept_as_it_is(text, rest):
    assert without_think(text) == rest


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_text_without_its_reasoning_makes_the_same_calls(text):
    parsed = parse(T + text)
    if isinstance(parsed, Calls):
        assert parse(T + without_think(T + text)) == parsed


@settings(max_examples=500)
@given(st.text() | st.lists(PIECES, max_size=12).map("".join))
def test_no_text_raises(text):
    parsed = parse(text)
    if not isinstance(parsed, Calls | Answer):
        assert parsed.reason
        (parsed.path + parsed.expected + parsed.got).encode()


@settings(max_examples=500)
@given(st.integers(0, len(T + B)), st.integers(0, 3), st.text(max_size=2) | PIECES)
def test_a_right_completion_with_any_cut_and_paste_does_not_raise(start, length, patch):
    text = T + B
    parse(text[:start] + patch + text[start + length :])
