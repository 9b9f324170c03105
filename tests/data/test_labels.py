import json
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.labels import Fault, contradiction
from toolrl.types import Tool, ToolCall

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"type": "string", "enum": ["C", "F"]},
        "price": {"type": "number"},
        "at": {"type": "array", "items": {"type": "integer"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["city"],
}


def check(arguments, schema=SCHEMA):
    return contradiction((ToolCall("f", arguments),), (Tool("f", "", schema),))


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "Oslo"},
        {"city": "Oslo", "days": 3, "unit": "C", "price": Decimal("1.5"), "at": [1, 2], "note": None},
        {"city": "Oslo", "days": Decimal("3.0"), "price": 2},
    ],
)
def test_what_the_schema_allows_is_no_contradiction(arguments):
    assert check(arguments) is None


@pytest.mark.parametrize(
    ("arguments", "fault", "path"),
    [
        ({}, Fault.MISSING_ARGUMENT, "[0].arguments"),
        ({"city": "Oslo", "town": 1}, Fault.UNKNOWN_ARGUMENT, "[0].arguments.town"),
        ({"city": 3}, Fault.WRONG_TYPE, "[0].arguments.city"),
        ({"city": None}, Fault.WRONG_TYPE, "[0].arguments.city"),
        ({"city": "Oslo", "days": "3"}, Fault.WRONG_TYPE, "[0].arguments.days"),
        ({"city": "Oslo", "days": True}, Fault.WRONG_TYPE, "[0].arguments.days"),
        ({"city": "Oslo", "days": Decimal("3.5")}, Fault.WRONG_TYPE, "[0].arguments.days"),
        ({"city": "Oslo", "price": "1.5"}, Fault.WRONG_TYPE, "[0].arguments.price"),
        ({"city": "Oslo", "at": [1, "2"]}, Fault.WRONG_TYPE, "[0].arguments.at[1]"),
        ({"city": "Oslo", "unit": "K"}, Fault.NOT_IN_ENUM, "[0].arguments.unit"),
        ({"city": "Oslo", "days": 0}, Fault.OUTSIDE_SCHEMA, "[0].arguments.days"),
        ({"city": "Oslo", "note": 3}, Fault.OUTSIDE_SCHEMA, "[0].arguments.note"),
    ],
)
def test_each_fault_has_its_name_and_its_place(arguments, fault, path):
    found = check(arguments)
    assert (found.fault, found.path) == (fault, path)


def test_a_name_that_is_not_offered_is_found_in_any_call():
    found = contradiction((ToolCall("f", {"city": "Oslo"}), ToolCall("g", {})), (Tool("f", "", SCHEMA),))
    assert (found.fault, found.path) == (Fault.NAME_NOT_OFFERED, "[1].name")


def test_no_call_contradicts_nothing():
    assert contradiction((), ()) is None


def test_of_two_tools_with_one_name_one_must_fit():
    tools = (Tool("f", "", SCHEMA), Tool("f", "", {"type": "object", "properties": {"town": {"type": "string"}}}))
    assert contradiction((ToolCall("f", {"town": "Oslo"}),), tools) is None
    assert contradiction((ToolCall("f", {"village": "Oslo"}),), tools).path == "[0].arguments.village"


def test_a_schema_may_leave_its_arguments_open():
    assert check({"anything": 1}, {"type": "object", "additionalProperties": True}) is None
    assert check({"anything": 1}, {"type": "object", "additionalProperties": False}).fault == Fault.UNKNOWN_ARGUMENT
    assert check({"anything": 1}, {"type": "object"}).fault == Fault.UNKNOWN_ARGUMENT


def test_local_references_are_followed():
    schema = {"type": "object", "properties": {"at": {"$ref": "#/$defs/place"}}, "$defs": {"place": {"type": "string"}}}
    assert check({"at": "Oslo"}, schema) is None
    assert check({"at": 3}, schema).fault == Fault.WRONG_TYPE


@pytest.mark.parametrize(
    "at",
    [
        {"type": "strange"},
        {"type": 3},
        {"$ref": "#/nowhere"},
        {"$ref": "#/properties/at"},
    ],
)
def test_what_is_no_usable_schema_is_a_fault_of_its_own(at):
    assert check({"at": 1}, {"type": "object", "properties": {"at": at}}).fault == Fault.INVALID_SCHEMA


def test_a_reference_to_the_network_is_not_followed():
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        schema = {"type": "object", "properties": {"at": {"$ref": f"http://127.0.0.1:{server.server_port}/schema.json"}}}
        assert check({"at": 1}, schema).fault == Fault.INVALID_SCHEMA
        server.shutdown()
    assert asked == []


@pytest.mark.parametrize(
    "at", [{"pattern": "(a+)+$"}, {"multipleOf": Decimal("0.1")}, {"patternProperties": {"(": {}}, "additionalProperties": False}]
)
def test_rules_that_could_hang_or_raise_are_not_checked(at):
    value = {"x": 1} if "patternProperties" in at else 10**300 if "multipleOf" in at else "a" * 40 + "b"
    assert check({"at": value}, {"type": "object", "properties": {"at": at}}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2).map(lambda x: round(x, 1)) | st.sampled_from(["a", "b", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])


def schemas(inner):
    parts = {
        "type": TYPES | st.lists(TYPES, min_size=1, unique=True),
        "enum": st.lists(JSON, min_size=1, max_size=3),
        "items": inner,
        "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "minimum": st.integers(-2, 2),
    }
    return st.fixed_dictionaries({}, optional=parts)


@given(st.recursive(st.just({}), schemas, max_leaves=6), JSON)
def test_the_verdict_on_a_value_is_that_of_the_library_whether_numbers_are_float_or_decimal(schema, value):
    exact = json.loads(json.dumps(value), parse_float=Decimal)
    outer = {"type": "object", "properties": {"x": schema}}
    assert (check({"x": exact}, outer) is None) == jsonschema.Draft202012Validator(outer).is_valid({"x": value})


PLAIN = {
    "type": "object",
    "properties": {"s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"}},
}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.decimals(-9, 9, places=1), st.text(max_size=2), st.lists(st.integers(), max_size=1)
)


@given(st.dictionaries(st.sampled_from("sinbx"), VALUES), st.sampled_from([[], ["s"], ["i", "b"]]))
def test_a_plain_schema_says_by_the_short_way_what_it_says_by_the_long_one(arguments, required):
    schema = PLAIN | {"required": required}
    by_the_long_way = schema | {"minProperties": 0}  # forbids nothing, but is no longer plain
    assert check(arguments, schema) == check(arguments, by_the_long_way)


def test_no_arguments_are_looked_at_too():
    assert check({}, {"type": "object", "minProperties": 1}).fault == Fault.OUTSIDE_SCHEMA
    assert check({}, {"type": "array"}).fault == Fault.WRONG_TYPE
    assert check({"b": True}, PLAIN) is None
    assert check({"i": True}, PLAIN).fault == Fault.WRONG_TYPE
