import pytest

from toolrl.data.schemas import json_schema, read_tools
from toolrl.errors import DataError
from toolrl.types import Tool


def test_words_of_other_origins_become_json_schema_at_every_depth_and_are_kept():
    schema = {
        "type": "dict",
        "properties": {
            "n": {"type": "float", "description": "int"},
            "pairs": {"type": "array", "items": {"type": "tuple", "items": {"type": "String"}}},
            "type": {"type": "any"},
        },
        "required": ["n"],
    }
    assert json_schema(schema) == {
        "type": "object",
        "x_type": "dict",
        "properties": {
            "n": {"type": "number", "x_type": "float", "description": "int"},
            "pairs": {"type": "array", "items": {"type": "array", "x_type": "tuple", "items": {"type": "string", "x_type": "String"}}},
            "type": {"x_type": "any"},
        },
        "required": ["n"],
    }


def test_a_schema_in_the_right_words_stays_as_it_is():
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"], "enum": ["float", None], "default": None}}, "required": []}
    assert json_schema(schema) == schema


def test_items_that_are_stated_win_over_those_of_the_word():
    assert json_schema({"type": "List[int]", "items": {"type": "string"}}) == {
        "type": "array",
        "items": {"type": "string"},
        "x_type": "List[int]",
    }


def test_a_keyword_that_is_null_says_nothing_and_required_arguments_are_listed():
    schema = {"type": "object", "properties": {"a": {"type": "string", "required": True}, "b": {"enum": None}, "c": None}, "required": None}
    assert json_schema(schema) == {"type": "object", "properties": {"a": {"type": "string"}, "b": {}, "c": {}}, "required": ["a"]}


def test_tools_come_plain_or_in_an_envelope():
    plain = {"name": "f", "description": "d", "parameters": {"type": "dict", "properties": {}}}
    tool = Tool("f", "d", {"type": "object", "x_type": "dict", "properties": {}})
    assert read_tools([plain, {"type": "function", "function": plain}, {"name": "g"}]) == (
        tool,
        tool,
        Tool("g", "", {"type": "object", "properties": {}}),
    )


@pytest.mark.parametrize("tool", ["f", {"name": ""}, {"name": "f", "parameters": []}, {"function": None}])
def test_what_is_no_tool_is_named_by_its_place(tool):
    with pytest.raises(DataError, match=r"^tools\[1\]"):
        read_tools([{"name": "f"}, tool])
