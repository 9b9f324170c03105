"""A schema is asked at the places a comparison comes to."""

from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import Tool


def place(schema):
    return Place(schema)


def test_type_words_of_other_origins_are_understood():
    assert place({"type": "float"}).is_number
    assert place({"type": ["Int", "null"]}).is_number
    assert place({"type": "dict"}).types == {"object"}
    assert not place({"type": "string"}).is_number
    assert not place({}).is_number


def test_members_items_and_free_keys_are_found_at_any_depth():
    schema = {
        "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}}},
        "additionalProperties": {"type": "integer"},
    }
    assert place(schema).member("rows").item(3).member("x").types == {"number"}
    assert place(schema).member("other").types == {"integer"}
    assert place(schema).member("rows").member("x").types == frozenset()


def test_positions_of_a_tuple_have_their_own_schema():
    pair = place({"prefixItems": [{"type": "string"}, {"type": "number"}], "items": {"type": "boolean"}})
    assert [pair.item(i).types for i in range(3)] == [{"string"}, {"number"}, {"boolean"}]
    assert place({"items": [{"type": "string"}]}).item(0).types == {"string"}


def test_branches_and_references_count_and_cycles_end():
    schema = {
        "properties": {
            "a": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/n~1m"}]},
            "b": {"$ref": "#/$defs/loop"},
            "c": {"$ref": "#/no"},
        },
        "$defs": {"n/m": {"type": "number"}, "loop": {"allOf": [{"$ref": "#/$defs/loop"}, {"type": "integer"}]}},
    }
    assert place(schema).member("a").types == {"string", "number"}
    assert place(schema).member("b").types == {"integer"}
    assert place(schema).member("c").types == frozenset()


def test_only_an_optional_argument_has_a_default():
    schema = {
        "properties": {"a": {"default": 1}, "b": {"default": None}, "c": {}, "d": {"default": 1, "required": True}},
        "required": ["a"],
    }
    assert place(schema).default("a") is ABSENT
    assert place(schema).default("b") is None
    assert place(schema).default("c") is ABSENT
    assert place(schema).default("d") is ABSENT


def test_nothing_is_known_of_a_tool_not_on_offer_or_a_broken_schema():
    tools = (Tool("f", "", {"properties": "none", "required": 3, "anyOf": {}, "$ref": 1, "items": []}),)
    assert arguments_of(tools, "g").member("a").types == frozenset()
    assert arguments_of(tools, "f").member("a").item(0).types == frozenset()
    assert arguments_of(tools, "f").default("a") is ABSENT
