from dataclasses import replace

import pytest

from toolrl.data.fingerprint import digest, opening
from toolrl.types import Message, Prompt, Tool, ToolCall


def tool(name, **types):
    return Tool(name, "", {"type": "object", "properties": {key: {"type": kind} for key, kind in types.items()}})


PROMPT = Prompt("1", "s", (Message("user", "Caf\u00e9  in\nOslo"),), (tool("f", a="string", b="integer"), tool("g")), (ToolCall("f", {}),))


@pytest.mark.parametrize(
    "same",
    [
        replace(PROMPT, id="2", source="t", dialogue="d"),
        replace(PROMPT, reference=()),
        replace(PROMPT, messages=(Message("user", " Cafe\u0301 in Oslo "),)),
        replace(PROMPT, tools=PROMPT.tools[::-1]),
        replace(PROMPT, tools=(tool("f", b="integer", a="string"), Tool("g", "reworded", {}))),
    ],
)
def test_wording_of_white_space_descriptions_and_order_make_no_new_prompt(same):
    assert digest(same) == digest(PROMPT)


@pytest.mark.parametrize(
    "other",
    [
        replace(PROMPT, messages=(Message("user", "café in Oslo"),)),
        replace(PROMPT, messages=(Message("system", "Café in Oslo"),)),
        replace(PROMPT, messages=(*PROMPT.messages, Message("user", ""))),
        replace(PROMPT, tools=(tool("f", a="string"), tool("g"))),
        replace(PROMPT, tools=(tool("f", a="integer", b="integer"), tool("g"))),
        replace(PROMPT, tools=(tool("f", a="string", b="integer"), tool("h"))),
    ],
)
def test_another_conversation_or_tool_is_another_prompt(other):
    assert digest(other) != digest(PROMPT)


def test_calls_of_the_history_tell_prompts_apart():
    first, second = (replace(PROMPT, messages=(Message("assistant", "", (ToolCall("f", {"a": i}),)), *PROMPT.messages)) for i in (1, 2))
    assert digest(first) != digest(second)


def test_an_opening_reaches_to_the_first_user_turn():
    begun = (Message("system", "Be brief."), Message("user", "Hello"))
    later = (*begun, Message("assistant", "Hi"), Message("user", "Book it"))
    assert opening(begun, PROMPT.tools) == opening(later, PROMPT.tools)
    assert opening(begun, PROMPT.tools) != opening(begun[1:], PROMPT.tools)
    assert opening(begun, PROMPT.tools) != opening((begun[0], Message("user", "Good day")), PROMPT.tools)
    assert opening(begun, PROMPT.tools) != opening(begun, PROMPT.tools[:1])
