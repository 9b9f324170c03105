import json

import pytest

from toolrl.data.formats import hermes, toolace
from toolrl.data.steps import Origin, steps
from toolrl.errors import DataError
from toolrl.types import Message, ToolCall

TOOL = {"type": "function", "function": {"name": "warm", "description": "d", "parameters": {"type": "object", "properties": {}}}}
SYSTEM = "You are given function signatures within <tools></tools> tags:\n<tools> {} </tools>\nCall in <tool_call></tool_call> tags."
OSLO, BERGEN = (ToolCall("warm", {"city": city}) for city in ("Oslo", "Bergen"))
SPOKEN = [
    ("human", "How warm are Oslo and Bergen?"),
    ("gpt", '<tool_call>\n{"name": "warm", "arguments": {"city": "Oslo"}}\n</tool_call>\n'
            '<tool_call>\n{"arguments": {"city": "Bergen"}, "name": "warm"}\n</tool_call>'),
    ("tool", '<tool_response>\n{"t": 21}\n</tool_response>\n<tool_response>\n{"t": 9}\n</tool_response>'),
    ("gpt", "21 and 9 degrees."),
]  # fmt: skip


def row(*spoken, **columns):
    return {"id": "h", "conversations": [{"from": who, "value": text} for who, text in spoken]} | columns


def read(value):
    return hermes.read(value, Origin("h.json:1", "h.json"))


@pytest.mark.parametrize("tools", [json.dumps([TOOL]), json.dumps(TOOL), f"{TOOL!r}", f"{json.dumps(TOOL)}\n{json.dumps(TOOL)}"])
def test_tools_stand_in_the_system_text_as_a_list_or_one_after_the_other(tools):
    dialogue = read(row(("system", SYSTEM.replace("{}", tools)), *SPOKEN))
    assert {tool.name for tool in dialogue.tools} == {"warm"}
    assert dialogue.turns == (
        Message("user", "How warm are Oslo and Bergen?"),
        Message("assistant", "", (OSLO, BERGEN)),
        Message("tool", '{"t": 21}\n{"t": 9}'),
        Message("assistant", "21 and 9 degrees."),
    )


def test_tools_may_stand_in_a_column_and_a_system_turn_without_tags_stays():
    dialogue = read(row(("system", "Be brief."), *SPOKEN, tools=json.dumps([TOOL])))
    assert [tool.name for tool in dialogue.tools] == ["warm"]
    assert dialogue.turns[0] == Message("system", "Be brief.")
    assert [(p.id, len(p.reference)) for p in steps(dialogue)] == [("h#1", 2), ("h#2", 0)]


def test_calls_may_be_turns_of_their_own_after_words_that_are_no_step():
    call = '{"name": "warm", "arguments": {"city": "Oslo"}}'
    spoken = (SPOKEN[0], ("gpt", "Let me look."), ("function_call", call), ("observation", "21"), ("gpt", "21."))
    dialogue = read(row(*spoken, tools=[TOOL], system="Be brief."))
    assert dialogue.turns[0] == Message("system", "Be brief.")
    assert [p.reference for p in steps(dialogue)] == [(OSLO,), ()]


def test_calls_as_python_prints_them_are_read():
    spoken = (SPOKEN[0], ("gpt", "<tool_call>\n{'arguments': {'city': 'Oslo'}, 'name': 'warm'}\n</tool_call>"))
    assert read(row(*spoken, tools=[TOOL])).turns[-1].tool_calls == (OSLO,)


def test_hermes_and_toolace_are_told_apart():
    ace = row(*SPOKEN[:1], system='Here: [{"name": "f"}]')
    assert (hermes.fits(ace), toolace.fits(ace)) == (False, True)
    assert all(hermes.fits(each) for each in (row(*SPOKEN), ace | {"tools": "[]"}, ace | {"system": "<tools></tools>"}))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (row(*SPOKEN), "expected a column `tools` or tools between <tools> and </tools>"),
        (row(("human", "x"), ("gpt", "<tool_call>{"), tools=[TOOL]), r"conversations\[1\]: expected JSON up to </tool_call>"),
        (row(("human", "x"), ("function_call", "warm()"), tools=[TOOL]), r"conversations\[1\]: expected JSON up to the end"),
        (row(("system", "<tools> [{ </tools>"), *SPOKEN), "the system text: expected JSON up to </tools>"),
    ],
)
def test_a_row_that_cannot_be_read_says_where(value, what):
    with pytest.raises(DataError, match=what):
        read(value)
