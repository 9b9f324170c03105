"""Chat completions: what is asked, and what is believed of an answer."""

import json

import pytest

from toolrl.errors import ReplyError
from toolrl.rollout.chat import Dialect, UnreadableError, read_reply, request
from toolrl.rollout.replies import Ask, Reply
from toolrl.types import Prompt, Sampling

MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


def ask(**sampling):
    values = {"n": 1, "temperature": 0.7, "top_p": 1.0, "max_tokens": 16} | sampling
    return Ask(Prompt("a", "hand", (), (), ()), 0, Sampling(**values), seed=2**31 + 5)


def body(content="hi", finish="stop", usage=(7, 3), **message):
    counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
    found = {"choices": [{"message": {"content": content} | message, "finish_reason": finish}], "usage": counts}
    return json.dumps(found).encode()


def test_a_request_carries_the_messages_the_sampling_and_a_seed_of_31_bits():
    assert request("m", MESSAGES, ask(), Dialect()) == {
        "model": "m",
        "messages": MESSAGES,
        "temperature": 0.7,
        "max_tokens": 16,
        "seed": 5,
    }
    assert request("m", MESSAGES, ask(top_p=0.9), Dialect())["top_p"] == 0.9


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("HTTP 422: extra_forbidden: body.seed", Dialect(seed=False)),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", Dialect(max_tokens="max_completion_tokens")),
        ("maximum context length is 4096", None),
        ("linseed oil", None),
    ],
)
def test_what_an_endpoint_refuses_is_left_out_or_named_otherwise(told, expected):
    assert Dialect().simpler(told, MESSAGES) == expected


def test_what_was_left_out_already_is_no_reason_to_ask_again():
    assert Dialect(seed=False).simpler("seed", MESSAGES) is None
    assert Dialect(max_tokens="max_completion_tokens").simpler("max_completion_tokens", MESSAGES) is None


def test_results_of_tools_become_one_turn_of_the_user_where_their_role_is_refused():
    turns = [*MESSAGES, {"role": "assistant", "content": "c"}, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    dialect = Dialect().simpler("messages with role 'tool' must be a response", turns)
    sent = request("m", [*turns, {"role": "user", "content": "v"}], ask(), dialect)["messages"]
    assert sent[3:] == [
        {"role": "user", "content": "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"},  # Qwen2.5's template
        {"role": "user", "content": "v"},
    ]


def test_a_plain_answer_is_taken_as_it_is():
    assert read_reply(body("<think>\na\n</think>\nb")) == Reply("<think>\na\n</think>\nb", "stop", 7, 3)
    assert read_reply(body(finish="length")).finish_reason == "length"
    assert read_reply(body(finish=None)).finish_reason == "stop"


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_put_back(key):
    assert read_reply(body("call", **{key: "\nhm\n"})).text == "<think>\nhm\n</think>\ncall"
    assert read_reply(body("<think>a</think>call", **{key: "hm"})).text == "<think>a</think>call"
    assert read_reply(body("call", **{key: None})).text == "call"
    cut = read_reply(body(None, "length", **{key: "hm, th"}))
    assert (cut.text, cut.finish_reason) == ("<think>\nhm, th", "length")


def test_without_usage_the_counts_are_0():
    assert read_reply(body(usage=None)) == Reply("hi", "stop", 0, 0)
    assert read_reply(body(usage=("7", -1))) == Reply("hi", "stop", 0, 0)


def test_hidden_reasoning_that_took_every_token_is_an_answer_that_was_cut():
    assert read_reply(body("", "length")) == Reply("", "length", 7, 3)


def test_half_of_a_surrogate_pair_does_not_come_in():
    assert read_reply(b'{"choices": [{"message": {"content": "a\\ud83d"}}]}').text == "a\ufffd"


def test_an_answer_that_was_withheld_is_no_garbage():
    with pytest.raises(ReplyError, match="filter"):
        read_reply(body("", "content_filter"))


@pytest.mark.parametrize(
    "garbage",
    [
        b"", b"<html>", b'{"choices": [{"mess', b"\xff", b"[" * 100_000, b"null", b"[]", b'{"choices": []}', b'{"choices": {}}',
        b'{"choices": [3]}', b'{"choices": [{"message": null}]}', b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": 3}]}', b'{"choices": [{"message": {"content": ""}}]}',
        b'{"choices": [{"message": {"content": null}}]}', b'{"error": {"message": "overloaded"}}', b'{"choices": null, "error": "x"}',
    ],
)  # fmt: skip
def test_everything_else_is_unreadable(garbage):
    with pytest.raises(UnreadableError):
        read_reply(garbage)
