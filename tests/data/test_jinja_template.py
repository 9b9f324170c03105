"""The chat template made of a prompt template: what a server is sent as messages and tools is shown as training shows the same prompt."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from toolrl.calls.render import render_completion
from toolrl.data.demo.generate import demo_prompts
from toolrl.data.jinja_template import plain, with_tools
from toolrl.data.jsontext import dumps
from toolrl.data.source import load_prompts
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.types import Message, Prompt, Tool, ToolCall

WARM = ToolCall("warm", {"stadt": "Zürich", "on": True, "ratio": 0.5, "at": None})
TOOL = Tool("warm", 'Say "warm" – 暖', {"type": "object", "properties": {"stadt": {"type": "string"}}, "required": ["stadt"]})
BOTH = PromptTemplate("both", 'a "quoted" \\n {tools_compact}\n{"x": {y}} {% if %} ünï\t😀\n{tools}\n$end')
QWEN2 = (  # as Qwen2.5-Instruct: a default system message, its own words for tools, and results gathered under one user's turn
    "{%- if tools %}\n    {{- '<|im_start|>system\\n# Tools' }}\n{%- else %}\n    {%- if messages[0]['role'] == 'system' %}\n"
    "        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n    {%- else %}\n"
    "        {{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}\n    {%- endif %}\n{%- endif %}\n"
    '{%- for message in messages %}\n    {%- if (message.role == "user") or (message.role == "system" and not loop.first) '
    'or (message.role == "assistant" and not message.tool_calls) %}\n'
    "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
    '    {%- elif message.role == "assistant" %}\n        {{- \'WRONG\' }}\n    {%- elif message.role == "tool" %}\n'
    "        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != \"tool\") %}\n            {{- '<|im_start|>user' }}\n"
    "        {%- endif %}\n        {{- '\\n<tool_response>\\n' }}\n        {{- message.content }}\n        {{- '\\n</tool_response>' }}\n"
    "        {%- if loop.last or (messages[loop.index0 + 1].role != \"tool\") %}\n            {{- '<|im_end|>\\n' }}\n"
    "        {%- endif %}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n"
)


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory, make_byte_tokenizer):
    return make_byte_tokenizer(tmp_path_factory.mktemp("qwen2"), chat_template=QWEN2)


@pytest.fixture(scope="module")
def shown(qwen2):
    """Token ids that a server would make of a prompt: sent as JSON, through the generated chat template."""
    tokenizer = AutoTokenizer.from_pretrained(qwen2)

    def ids(prompt, template):
        messages, tools = (json.loads(dumps(part)) for part in as_request(prompt))
        text = tokenizer.apply_chat_template(
            messages, tools=tools, chat_template=with_tools(template, QWEN2), tokenize=False, add_generation_prompt=True
        )
        return tokenizer.encode(text, add_special_tokens=False)

    return ids


@pytest.fixture(scope="module")
def trained(qwen2):
    """Token ids of a prompt in training."""
    tokenizer = ChatTokenizer(qwen2)
    return lambda prompt, template: tokenizer.encode_prompt(prompt, template).tolist()


def as_request(prompt):
    """`messages` and `tools` as an openai client sends them."""
    messages = []
    for turn in prompt.messages:
        message = {"role": turn.role, "content": turn.content or None}
        if turn.tool_calls:
            functions = [{"name": call.name, "arguments": call.arguments} for call in turn.tool_calls]
            message["tool_calls"] = [{"id": "call-1", "type": "function", "function": function} for function in functions]
        messages.append(message)
    tools = [{"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in prompt.tools]
    return messages, [{"type": "function", "function": tool} for tool in tools]


def prompt(*messages, tools=(TOOL,)):
    return Prompt("p", "s", tuple(messages), tuple(tools), ())


USER = Message("user", "Is it warm in Zürich?")
DIALOGUE = prompt(
    Message("system", "Be brief.\n"),
    USER,
    Message("assistant", "", (WARM, replace(WARM, arguments={}))),
    Message("tool", '{"t": 21}'),
    Message("tool", " 22\n"),
    Message("assistant", "Yes."),
    USER,
    Message("assistant", "Again, so I ask again.", (WARM,)),
    Message("tool", ""),
)


@pytest.mark.parametrize("name", ["tool_n1", "tool_n1_no_think", "demo"])
def test_prompts_of_the_demo_are_shown_token_for_token_as_in_training(shown, trained, name):
    template = PromptTemplate.load(name)
    for each in demo_prompts("heldout", 100):
        assert shown(each, template) == trained(each, template)


@pytest.mark.parametrize("template", [*map(PromptTemplate.load, ("tool_n1", "tool_n1_no_think", "demo")), BOTH], ids=lambda t: t.name)
def test_a_dialogue_with_calls_and_results_is_shown_as_in_training(shown, trained, template):
    assert shown(DIALOGUE, template) == trained(DIALOGUE, template)
    assert shown(prompt(USER), template) == trained(prompt(USER), template)


@pytest.mark.parametrize("name", ["tool_n1", "demo"])
def test_real_rows_are_shown_as_in_training(shown, trained, shared_data, name):
    template = PromptTemplate.load(name)
    rows = [*load_prompts(str(shared_data / "tool_calling" / "test.jsonl")), *load_prompts(str(shared_data / "apibank" / "unified.jsonl"))]
    differ = {each.id for each in rows if shown(each, template) != trained(each, template)}
    assert differ <= {"rlla_sft_107"}  # has 8.854E-12 in a schema, which a server reads as 8.854e-12


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
KEYS = st.sampled_from(
    ["type", "x_type", "x_language", "properties", "items", "enum", "default", "anyOf", "$defs", "description", "get", "keys", "é"]
)
SCHEMAS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4), max_leaves=12
)


@example({"x_language": "java", "properties": {"x_type": {"x_type": "str", "default": {"x_type": 1}}}}, "f", "")
@given(st.dictionaries(KEYS, SCHEMAS, max_size=4), st.text(max_size=5), st.text(max_size=5))
def test_any_schema_is_shown_as_in_training_without_the_words_of_its_origin(shown, trained, schema, name, about):
    asked = prompt(USER, tools=[Tool(name, about, schema), TOOL])
    assert shown(asked, BOTH) == trained(asked, BOTH)


def rendered(tokenizer, messages, **more):
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **more)


@pytest.mark.parametrize("own", [QWEN2, "\n" + QWEN2, "  {% if true %}x{% endif %}\n" + QWEN2, "{#- a -#}\n\n y\n" + QWEN2])
def test_without_tools_a_conversation_goes_through_the_models_own_template_untouched(qwen2, own):
    tokenizer = AutoTokenizer.from_pretrained(qwen2)
    for messages in (
        [{"role": "user", "content": "hi"}],
        [{"role": "system", "content": ""}, {"role": "user", "content": " <tools> "}, {"role": "assistant", "content": "x"}],
    ):
        for tools in (None, []):
            made = rendered(tokenizer, messages, tools=tools, chat_template=with_tools(PromptTemplate.load("tool_n1"), own))
            assert made == rendered(tokenizer, messages, tools=tools, chat_template=own)


def test_a_template_made_again_is_the_new_one_alone():
    old = with_tools(PromptTemplate.load("tool_n1"), QWEN2)
    assert with_tools(BOTH, old) == with_tools(BOTH, QWEN2)
    assert plain(old) == QWEN2
    assert plain(QWEN2) == QWEN2


def test_an_answer_given_back_with_its_reasoning_is_shown_as_the_model_wrote_it(qwen2):
    tokenizer = AutoTokenizer.from_pretrained(qwen2)
    function = {"name": "warm", "arguments": dumps(WARM.arguments)}
    answer = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
    for field in ("reasoning", "reasoning_content"):
        turns = [{"role": "user", "content": "hi"}, {**answer, field: "\nIt asks.\n"}]
        text = rendered(tokenizer, turns, tools=as_request(prompt())[1], chat_template=with_tools(PromptTemplate.load("demo"), QWEN2))
        assert f"<|im_start|>assistant\n{render_completion([WARM], 'It asks.')}<|im_end|>" in text


def test_tools_may_come_without_their_envelope_and_text_in_parts(qwen2):
    tokenizer = AutoTokenizer.from_pretrained(qwen2)
    template = with_tools(BOTH, QWEN2)
    bare = {"name": "warm"}
    whole = {"type": "function", "function": {"name": "warm", "description": None, "parameters": None, "strict": True}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    (first, second) = (
        rendered(tokenizer, [{"role": "user", "content": content}], tools=[tool], chat_template=template)
        for content, tool in (("a\nb", bare), (parts, whole))
    )
    assert first == second
    assert '{"name": "warm", "description": "", "parameters": {"type": "object", "properties": {}}}' in first
