import json
from decimal import Decimal

import pytest

from toolrl.data.formats import xlam
from toolrl.data.steps import Origin, steps
from toolrl.errors import DataError
from toolrl.types import Message, ToolCall

TOOLS = [
    {
        "name": "find",
        "description": "Finds.",
        "parameters": {
            "query": {"description": "What.", "type": "str"},
            "limit": {"description": "How many.", "type": "int, optional", "default": 10},
            "tags": {"description": "Which.", "type": "List[str], optional"},
            "page": {"description": "Which.", "type": "int", "default": ""},
            "sort": {"description": "How.", "type": "str", "default": ""},
            "type": {"description": "An argument of this name.", "type": "Dict[str, Any]"},
        },
    },
]
ANSWERS = [{"name": "find", "arguments": {"query": "x", "limit": 3, "ratio": 0.10}}]
ROW = {"id": 7, "query": "Find x.", "answers": json.dumps(ANSWERS).replace("0.1", "0.10"), "tools": json.dumps(TOOLS)}


def read(row):
    return xlam.read(row, Origin("x.json:1", "x.json"))


def test_a_row_is_one_step_with_its_numbers_digit_by_digit():
    (prompt,) = steps(read(ROW))
    assert (prompt.id, prompt.source, prompt.messages) == ("xlam-7", "x.json", (Message("user", "Find x."),))
    assert prompt.reference == (ToolCall("find", {"query": "x", "limit": 3, "ratio": Decimal("0.10")}),)


def test_flat_parameters_become_json_schema_and_the_type_word_stays():
    (tool,) = read(ROW).tools
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "x_type": "str", "description": "What."},
            "limit": {"type": "integer", "x_type": "int, optional", "description": "How many.", "default": 10},
            "tags": {"type": "array", "items": {"type": "string"}, "x_type": "List[str], optional", "description": "Which."},
            "page": {"type": "integer", "x_type": "int", "description": "Which."},
            "sort": {"type": "string", "x_type": "str", "description": "How.", "default": ""},
            "type": {"type": "object", "x_type": "Dict[str, Any]", "description": "An argument of this name."},
        },
        "required": ["query", "type"],
    }


def test_lists_that_are_decoded_already_are_read_alike():
    assert read(ROW | {"tools": TOOLS, "answers": [{"name": "find", "arguments": {"query": "x"}}]}).tools == read(ROW).tools


def test_parameters_that_are_a_json_schema_stay_one():
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    assert read(ROW | {"tools": [tool]}).tools[0].parameters == tool["parameters"]
    assert read(ROW | {"tools": [{"name": "f", "parameters": {}}]}).tools[0].parameters["properties"] == {}


def test_no_answers_mean_that_no_tool_fits_and_a_row_without_an_id_is_named_by_its_place():
    dialogue = read({key: ROW[key] for key in ("query", "tools")} | {"answers": "[]"})
    assert (dialogue.reference, dialogue.id) == ((), "x.json:1")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"answers": "[{"}, "`answers`: expected a list or its JSON text"),
        ({"answers": '{"name": "f"}'}, "`answers`: expected a list of calls"),
        ({"answers": '[{"arguments": {}}]'}, r"answers\[0\]: expected {name, arguments}"),
        ({"tools": None}, "`tools`: expected a list"),
        ({"tools": [{"name": "f", "parameters": {"a": "int"}}]}, "the argument 'a': expected {description, type}"),
        ({"query": " "}, "`query`: expected text"),
    ],
)
def test_a_row_that_cannot_be_read_says_which_field(change, what):
    with pytest.raises(DataError, match=what):
        read(ROW | change)
