import json

import pytest

from toolrl.calls.parse import parse
from toolrl.calls.render import render_completion
from toolrl.data.formats import toolace
from toolrl.data.steps import Origin, steps
from toolrl.data.template import HISTORY_THINK, PromptTemplate
from toolrl.errors import DataError
from toolrl.types import Message, ToolCall

TOOLS = [
    {
        "name": "Get Weather",
        "description": "Weather [in a city].",
        "parameters": {"type": "dict", "properties": {"city": {"type": "string"}, "days": {"type": "int"}}, "required": ["city"]},
        "required": None,
    },
    {"name": "Movies/Search v2", "description": "", "parameters": {"type": "dict", "properties": {}}},
]
SYSTEM = "Compose functions, as in [f(x)].\nThese can be invoked:\n" + json.dumps(TOOLS) + ".\nWrite [f1(a=b), f2(c)]. NO other text."
CALL = '[Get Weather(city="Paris (France)", days=3)]'
PARIS = ToolCall("Get Weather", {"city": "Paris (France)", "days": 3})
ROWS = [
    ("human", "gpt", "observation"),
    ("user", "assistant", "tool"),
]


def row(user="user", assistant="assistant", tool="tool", *, answer=CALL, system=SYSTEM):
    turns = [
        (user, "Weather in Paris?"), (assistant, answer),
        (tool, '[{"name": "Get Weather", "results": {"t": 21}}]'),
        (assistant, "21 degrees."), (user, "And films?"), (assistant, "[Movies/Search v2()]"),
    ]  # fmt: skip
    return {"system": system, "conversations": [{"from": who, "value": text} for who, text in turns]}


def read(value):
    return toolace.read(value, Origin("data.json:1", "data.json"))


@pytest.mark.parametrize("words", ROWS, ids="/".join)
def test_both_vocabularies_of_roles_are_read_alike(words):
    assert read(row(*words)) == read(row())
    assert [turn.role for turn in read(row(*words)).turns] == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def test_every_calling_turn_is_a_step_and_plain_answers_are_steps_without_a_call():
    prompts = steps(read(row()))
    assert [(p.id, p.reference) for p in prompts] == [
        ("data.json:1#1", (PARIS,)),
        ("data.json:1#2", ()),
        ("data.json:1#3", (ToolCall("Movies/Search v2", {}),)),
    ]
    assert [len(p.messages) for p in prompts] == [1, 3, 5]
    assert len({p.dialogue for p in prompts}) == 1


def test_the_tools_stand_in_the_system_text_whatever_the_words_around_them():
    tools = read(row()).tools
    assert [tool.name for tool in tools] == ["Get Weather", "Movies/Search v2"]
    assert tools[0].parameters == {
        "type": "object",
        "x_type": "dict",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "x_type": "int"}},
        "required": ["city"],
    }
    assert read(row(system=json.dumps(TOOLS))).tools == tools


def test_the_instruction_on_form_is_not_shown_but_the_date_is():
    assert "system" not in {turn.role for turn in read(row()).turns}
    assert read(row(system=SYSTEM + "\nToday is 2024-05-01, Wednesday.\n")).turns[0] == Message("system", "Today is 2024-05-01, Wednesday.")


def test_the_history_shows_calls_in_exactly_the_form_the_model_must_produce():
    prompt = steps(read(row()))[2]
    shown = PromptTemplate.load("tool_n1").render(prompt)
    assert shown[2] == {"role": "assistant", "content": render_completion((PARIS,), HISTORY_THINK)}
    assert parse(shown[2]["content"]).calls == (PARIS,)
    assert shown[3] == {"role": "tool", "content": '[{"name": "Get Weather", "results": {"t": 21}}]'}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("[Get Weather(city={1, 2})]", r"conversations\[1\]: character 19: expected key: value, as a set is no JSON value"),
        ("[Get Weather(city=b'x')]", r"conversations\[1\]: character 18: bytes"),
        ("[Get Weather(city='x']", r"conversations\[1\]: character 21"),
        ("Calling [Get Weather(city='x')]", r"conversations\[1\]: character 8: expected a list of calls and nothing else"),
    ],
)
def test_a_turn_that_cannot_be_read_is_named_by_its_place(answer, what):
    with pytest.raises(DataError, match=what):
        read(row(answer=answer))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (row(system="No tools here, [f(x)] is how."), "`system`: expected a list of tools"),
        (row(system="["), "`system`: expected a list of tools"),
        (row(system='[{"description": "nameless"}]'), r"tools\[0\]"),
        ({"system": SYSTEM, "conversations": [{"from": "bot", "value": "x"}]}, r"conversations\[0\]: expected {from, value}"),
        ({"system": SYSTEM, "conversations": "[]x"}, "`conversations`"),
        ({"conversations": []}, "`system`: expected text"),
    ],
)
def test_a_row_that_is_none_of_toolace_says_what_is_wrong(value, what):
    with pytest.raises(DataError, match=what):
        read(value)
