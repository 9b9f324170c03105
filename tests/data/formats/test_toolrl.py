import json
from decimal import Decimal

import pytest

from toolrl.data.formats import toolrl
from toolrl.data.steps import Origin, steps
from toolrl.errors import DataError
from toolrl.types import Message, ToolCall

PARAMETERS = {
    "city": {"description": "Which.", "type": "str", "default": ""},
    "days": {"description": "How many.", "type": "int", "default": 3},
}
SYSTEM = f"""You are an assistant.

**Available Tools**
In your response, you can use the following tools:
1. Name: Get Weather
Description: Of a city.
Name: not a tool.
Parameters: {json.dumps(PARAMETERS)}
2. Name: now
Description: The time.
Parameters: {{}}

**Steps for Each Turn**
1. Name: the steps.
"""
USER = """**Dialogue Records History**
<user> Weather in Paris? </user>

<think> I look. </think>
<tool_call>
{"name": "Get Weather", "parameters": {"city": "Paris", "days": 1.50}}
{"name": "now", "parameters": {}}
</tool_call>

<obs> [{"t": 21}] </obs>

<think> I say it. </think>
<response> 21 degrees. </response>

<user> And in Oslo? </user>"""
ANSWER = '<think> I look. </think>\n<tool_call>\n{"name": "Get Weather", "parameters": {"city": "Oslo"}}\n</tool_call>'


def row(system=SYSTEM, user=USER, answer=ANSWER):
    prompt = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return {"data_source": "rlla", "prompt": prompt, "reward_model": {"style": "rule", "ground_truth": answer}, "extra_info": {"index": 3}}


def read(value):
    return toolrl.read(value, Origin("t.parquet:1", "t.parquet"))


def test_a_row_is_one_step_whose_dialogue_comes_out_of_its_tags():
    (prompt,) = steps(read(row()))
    assert (prompt.id, prompt.source) == ("t.parquet:1", "rlla")
    paris = ToolCall("Get Weather", {"city": "Paris", "days": Decimal("1.50")})
    assert prompt.messages == (
        Message("user", "Weather in Paris?"),
        Message("assistant", "I look.", (paris, ToolCall("now", {}))),
        Message("tool", '[{"t": 21}]'),
        Message("assistant", "<think>I say it.</think>\n21 degrees."),
        Message("user", "And in Oslo?"),
    )
    assert prompt.reference == (ToolCall("Get Weather", {"city": "Oslo"}),)


def test_raw_rows_are_read_alike():
    raw = {"instruction": SYSTEM, "input": USER, "output": ANSWER}
    assert toolrl.fits(raw)
    assert read(raw).turns == read(row()).turns
    assert read(raw).reference == read(row()).reference


def test_the_listed_tools_become_json_schema_without_placeholders():
    weather, now = read(row()).tools
    assert (weather.name, weather.description) == ("Get Weather", "Of a city.\nName: not a tool.")
    assert weather.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "x_type": "str", "description": "Which."},
            "days": {"type": "integer", "x_type": "int", "description": "How many.", "default": 3},
        },
        "required": [],
    }
    assert (now.name, now.parameters["properties"]) == ("now", {})


def test_an_answer_in_words_is_no_call():
    assert read(row(answer="<think> No. </think>\n<response> I cannot. </response>")).reference == ()


def test_two_turns_of_the_assistant_without_anything_between_stay_two():
    user = "<user>x</user><think>a</think><response>b</response><think>c</think><response>d</response><user>y</user>"
    assert [turn.content for turn in read(row(user=user)).turns] == ["x", "<think>a</think>\nb", "<think>c</think>\nd", "y"]


def test_a_user_text_without_tags_is_what_the_user_says():
    assert read(row(user="Weather in Oslo?")).turns == (Message("user", "Weather in Oslo?"),)


def test_a_system_text_may_list_no_tools():
    assert read(row(system="You are an assistant.")).tools == ()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (row(answer="<tool_call>f(1)</tool_call>"), "the answer: expected JSON"),
        (row(answer="<think>a"), "expected </think> after <think>"),
        (row(user="<user>x</user><tool_call>{</tool_call>"), "turn 1: expected JSON"),
        (row(system="1. Name: f\nParameters: {}"), "expected its description and parameters"),
        (row(system="1. Name: f\nDescription: d\nParameters: {oops"), "character"),
        (row(system="1. Name: f\nDescription: d\nParameters: []"), "expected an object of parameters"),
        ({"prompt": [], "reward_model": {}}, "expected a `prompt` of a system and a user turn"),
        (row(answer=" "), "`ground_truth`: expected text"),
    ],
)
def test_a_row_that_cannot_be_read_says_what_is_wrong(value, what):
    with pytest.raises(DataError, match=what):
        read(value)
