"""The real server on CPU, asked by the real openai client: one start for all of it.

The expected calls are those that the verifier reads from the completion of the same prompt, which the same server makes of token ids.
"""

import re
import urllib.error
import urllib.request
from itertools import islice

import openai
import pytest

from toolrl.calls.jsontext import decode
from toolrl.calls.parse import Answer, Calls, parse
from toolrl.calls.render import to_json
from toolrl.config.load import load
from toolrl.config.serving import ServeConfig
from toolrl.data.demo.generate import demo_prompts
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.serve import serving
from toolrl.types import Message, Prompt, ToolCall

pytestmark = pytest.mark.stack

KEY = "s3cret"
SMALL = ["model.dtype=float32", "engine.kv_cache_gib=0.125", "engine.max_model_len=1024", "engine.max_num_seqs=16", "engine.threads=1"]
PROMPTS = list(islice(demo_prompts("heldout", 12), 12))


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLRL_API_KEY", KEY)
        with serving("demo://start", load(ServeConfig, SMALL), name="demo") as running:
            yield running


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def encode():
    """Token ids of a prompt in training."""
    tokenizer, template = ChatTokenizer(resolve_model("demo://start")), PromptTemplate.load("demo")
    return lambda prompt: tokenizer.encode_prompt(prompt, template).tolist()


def tools_of(prompt):
    functions = [{"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in prompt.tools]
    return [{"type": "function", "function": function} for function in functions]


def ask(client, prompt, **more):
    messages = [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
    asked = {"model": "demo", "messages": messages, "tools": tools_of(prompt), "temperature": 0, "max_tokens": 96}
    return client.chat.completions.create(**asked | more)


def completion(client, token_ids):
    """The text of the greedy completion of a prompt."""
    extra = {"skip_special_tokens": False}
    return client.completions.create(model="demo", prompt=token_ids, temperature=0, max_tokens=96, extra_body=extra).choices[0].text


def streamed(client, prompt):
    """What a client puts together from the deltas of a stream, and its finish reason."""
    reasoning, content, calls, finish = "", "", {}, None
    for chunk in ask(client, prompt, stream=True):
        delta, finish = chunk.choices[0].delta, chunk.choices[0].finish_reason or finish
        reasoning += getattr(delta, "reasoning", None) or ""
        content += delta.content or ""
        for call in delta.tool_calls or ():
            name, arguments = calls.get(call.index, ("", ""))
            calls[call.index] = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    return reasoning, content, list(calls.values()), finish


def test_calls_are_those_that_the_verifier_reads_and_the_reasoning_stands_apart(client, encode):
    made = 0
    for prompt in PROMPTS:
        answer = ask(client, prompt, extra_body={"return_token_ids": True})
        assert answer.prompt_token_ids == encode(prompt)
        message, text = answer.choices[0].message, completion(client, encode(prompt))
        read = parse(text)
        calls = [(call.function.name, decode(call.function.arguments)) for call in message.tool_calls or ()]
        assert message.reasoning == re.search("<think>(.*?)</think>", text, re.DOTALL)[1]
        if isinstance(read, Calls):
            assert calls == [(call.name, call.arguments) for call in read.calls]
            assert not message.content
            made += bool(calls)
        else:
            assert calls == []
            assert isinstance(read, Answer) or message.content in text
        assert answer.choices[0].finish_reason == ("tool_calls" if calls else "stop")
        expected = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        assert streamed(client, prompt) == (message.reasoning, message.content or "", expected, answer.choices[0].finish_reason)
    assert made > len(PROMPTS) // 2


def test_a_dialogue_with_calls_and_results_is_shown_as_in_training(client, encode):
    tools, call = PROMPTS[0].tools, PROMPTS[0].reference[0]
    calls = (call, ToolCall(call.name, {"n": 1, "ü": [None, "</think>"]}))
    turns = (
        Message("system", "Be brief."),
        *PROMPTS[0].messages,
        Message("assistant", "", calls),
        Message("tool", "21"),
        Message("tool", "ü"),
    )
    prompt = Prompt("p", "s", (*turns, Message("user", "and now?")), tools, ())
    functions = [{"name": each.name, "arguments": to_json(each.arguments)} for each in calls]
    sent = [{"id": f"c{i}", "type": "function", "function": function} for i, function in enumerate(functions)]
    messages = [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
    messages[2] = {"role": "assistant", "content": None, "tool_calls": sent}
    messages[3]["tool_call_id"], messages[4]["tool_call_id"] = "c0", "c1"
    answer = ask(client, prompt, messages=messages, extra_body={"return_token_ids": True})
    assert answer.prompt_token_ids == encode(prompt)
    messages[0]["role"] = "developer"
    assert ask(client, prompt, messages=messages, extra_body={"return_token_ids": True}).prompt_token_ids == encode(prompt)


def test_an_answer_that_is_given_back_is_shown_as_the_model_wrote_it(client, encode):
    prompt = PROMPTS[0]
    message = ask(client, prompt).choices[0].message
    turn = Message(
        "assistant", message.reasoning.strip(), tuple(ToolCall(c.function.name, decode(c.function.arguments)) for c in message.tool_calls)
    )
    messages = [
        {"role": "user", "content": prompt.messages[0].content},
        message,
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "done"},
    ]
    expected = Prompt("p", "s", (*prompt.messages, turn, Message("tool", "done")), prompt.tools, ())
    assert ask(client, prompt, messages=messages, extra_body={"return_token_ids": True}).prompt_token_ids == encode(expected)


def test_messages_that_are_rendered_already_are_shown_as_they_are_and_answered_whole(client, encode):
    template = PromptTemplate.load("demo")
    for prompt in PROMPTS[:3]:
        extra = {"return_token_ids": True}
        answer = client.chat.completions.create(
            model="demo", messages=template.render(prompt), temperature=0, max_tokens=96, extra_body=extra
        )
        message = answer.choices[0].message
        assert answer.prompt_token_ids == encode(prompt)
        assert f"<think>{message.reasoning}</think>{message.content}" == completion(client, encode(prompt))
        assert answer.choices[0].finish_reason == "stop"


def test_several_answers_to_one_request_are_read_each_by_itself(client):
    choices = ask(client, PROMPTS[0], n=4, temperature=1, top_p=1e-6).choices  # the likeliest token each time
    assert len({(c.message.reasoning, c.message.content, str([call.function for call in c.message.tool_calls])) for c in choices}) == 1
    assert len({call.id for c in choices for call in c.message.tool_calls}) == sum(len(c.message.tool_calls) for c in choices) >= 4


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/invocations", "/version"])
def test_nothing_but_its_health_is_told_without_the_key(server, path):
    base = server.url.removesuffix("/v1")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(base + path, timeout=10)
    assert urllib.request.urlopen(base + "/health", timeout=10).status == 200
    with pytest.raises(urllib.error.HTTPError, match="404"):  # of vLLM's development mode
        urllib.request.urlopen(
            urllib.request.Request(base + "/pause", method="POST", headers={"Authorization": f"Bearer {KEY}"}), timeout=10
        )


def test_a_request_that_is_too_long_is_refused_with_the_reason(client):
    with pytest.raises(openai.BadRequestError, match="1024"):
        ask(client, PROMPTS[0], messages=[{"role": "user", "content": "word " * 2000}])
