"""Our parsers inside vLLM's own loop over an answer, whole and streamed, without a server."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser import ParserManager
from vllm.renderers.hf import _detect_content_format, _detect_developer_role_support

from toolrl.calls.jsontext import decode
from toolrl.calls.render import render_calls, render_completion
from toolrl.data.jinja_template import with_tools
from toolrl.data.template import PromptTemplate
from toolrl.reward.modes import only_block
from toolrl.serving.parsers import NAME
from toolrl.types import ToolCall

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("a", "b")]
A, B = ToolCall("a", {"x": [1, None], "ü": "</think>"}), ToolCall("b", {})
BOTH = render_completion([A, B], "Two.")


@pytest.fixture(scope="module")
def make_parser(byte_tokenizer):
    tokenizer = AutoTokenizer.from_pretrained(byte_tokenizer)
    kind = ParserManager.get_parser(tool_parser_name=NAME, reasoning_parser_name=NAME, enable_auto_tools=True, tokenizer=tokenizer)
    return lambda request: kind(tokenizer, request.tools)


def request(**more):
    return ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "hi"}], **({"tools": TOOLS} | more))


def whole(parser, asked, text):
    reasoning, content, calls = parser.parse(text, asked, enable_auto_tools=True)
    return reasoning or "", content or "", [(call.name, call.arguments) for call in calls or ()]


def streamed(parser, asked, text, cuts):
    """What a client puts together from the deltas."""
    reasoning, content, calls = "", "", {}
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)} - ({0} if not text else set()))
    pieces = [text[start:end] for start, end in pairwise(places)] or [""]
    for number, piece in enumerate(pieces):
        delta = parser.parse_delta(piece, [], asked, prompt_token_ids=[1, 2], finished=number == len(pieces) - 1)
        if delta is not None:
            reasoning += delta.reasoning or ""
            content += delta.content or ""
            for call in delta.tool_calls:
                calls.setdefault(call.index, []).append(call)
    assert all(first.id and first.function.name for first, *_ in calls.values())
    assert len({first.id for first, *_ in calls.values()}) == len(calls)
    return reasoning, content, [(parts[0].function.name, "".join(p.function.arguments for p in parts)) for parts in calls.values()]


PIECES = ["<think>", "</think>", "<tool_call>", "</tool_call>", "[]", render_calls([A]), "x", " ", "\n", "<", "</t"]


@given(
    st.lists(st.sampled_from(PIECES), max_size=7).map("".join),
    st.lists(st.integers(0, 500), max_size=20),
    st.sampled_from(["auto", "none"]),
)
def test_deltas_put_together_are_the_answer_in_one_piece(make_parser, text, cuts, choice):
    asked = request(tool_choice=choice)
    made = whole(make_parser(asked), asked, text)
    assert streamed(make_parser(asked), asked, text, cuts) == made
    calls = only_block(text) or () if choice == "auto" else ()
    assert [(name, decode(arguments)) for name, arguments in made[2]] == [(call.name, call.arguments) for call in calls]


def test_parallel_calls_come_by_name_with_their_arguments_as_json_text_and_the_reasoning_apart(make_parser):
    calls = [("a", '{"x": [1, null], "ü": "</think>"}'), ("b", "{}")]
    assert whole(make_parser(request()), request(), BOTH) == ("\nTwo.\n", "", calls)
    assert streamed(make_parser(request()), request(), BOTH, range(len(BOTH))) == ("\nTwo.\n", "", calls)


NUMBER = '<think>x</think><tool_call>[{{"name": "a", "arguments": {{"n": {}}}}}]</tool_call>'


@pytest.mark.parametrize("number", ["1.10", "123456789012345678901234567890", "-0.0", "8.854E-12", "0.1000000000000000055511151231257827"])
def test_numbers_of_arguments_keep_their_digits(make_parser, number):
    assert whole(make_parser(request()), request(), NUMBER.format(number)) == ("x", "", [("a", f'{{"n": {number}}}')])


def test_a_number_that_the_verifier_does_not_read_breaks_the_block(make_parser):
    text = NUMBER.format("1e400")
    assert whole(make_parser(request()), request(), text) == ("x", text.removeprefix("<think>x</think>"), [])


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "a"}}])
def test_a_call_that_is_demanded_is_read_in_our_form_and_forces_no_grammar(make_parser, choice):
    asked = request(tool_choice=choice)
    parser = make_parser(asked)
    assert parser.adjust_request(asked).structured_outputs is None
    assert [name for name, _ in whole(parser, asked, BOTH)[2]] == ["a", "b"]
    assert [name for name, _ in streamed(make_parser(asked), asked, BOTH, range(0, 99, 7))[2]] == ["a", "b"]


def test_without_tools_only_the_reasoning_is_taken_out(make_parser):
    asked = request(tools=None)
    expected = ("\nTwo.\n", "\n" + render_calls([A, B]), [])
    assert whole(make_parser(asked), asked, BOTH) == expected
    assert streamed(make_parser(asked), asked, BOTH, range(len(BOTH))) == expected


def test_text_is_asked_for_with_all_its_special_tokens(make_parser):
    asked = request(tools=None)
    make_parser(asked).adjust_request(asked)
    assert asked.skip_special_tokens is False


def test_tokens_of_the_reasoning_are_counted_up_to_its_closing_tag(make_parser, byte_tokenizer):
    tokenizer = AutoTokenizer.from_pretrained(byte_tokenizer)
    counts = {"<think>abc</think>de": 5, "<think>abc": 4, "abc": 0, "<think>é</think>": 4, "": 0}  # a byte or a tag is a token
    for text, count in counts.items():
        assert make_parser(request()).count_reasoning_tokens(tokenizer.encode(text)) == count


def test_a_response_format_holds_from_the_end_of_the_reasoning_on(make_parser, byte_tokenizer):
    tokenizer = AutoTokenizer.from_pretrained(byte_tokenizer)
    reasoning = make_parser(request()).reasoning_parser
    ids = tokenizer.encode("system </think> " + "x" * 40 + "<think>abc</think>")
    assert not reasoning.is_reasoning_end(ids)
    assert not reasoning.is_reasoning_end_streaming(ids[:-1], ids[-2:-1])
    assert reasoning.is_reasoning_end_streaming(ids, ids[-1:])


@pytest.mark.parametrize("name", ["tool_n1", "demo"])
def test_vllm_sees_of_our_chat_template_what_it_sees_of_the_models_own(name):
    for own in (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}",
        "{% for m in messages %}{% for c in m['content'] %}{{ c.text }}{% endfor %}{% endfor %}",
    ):
        made = with_tools(PromptTemplate.load(name), own)
        assert _detect_content_format(made, default="string") == _detect_content_format(own, default="string")
        assert not _detect_developer_role_support(made)
