"""What is accepted for a prompt whose data set lists no values."""

from toolrl.calls.bfcl import accepted_of, explain_bfcl
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

ITEM = {"type": "object", "properties": {"n": {"type": "integer"}}}
PROPERTIES = {
    "city": {"type": "string"},
    "unit": {"type": "string", "default": "metric"},
    "days": {"type": "number", "default": 1},
    "filter": {"type": "object"},
    "items": {"type": "array", "items": ITEM},
    "any": {},
    "raw": {"type": "string"},
    "options": {"type": "object", "default": {"a": 1}},
}
TOOL = Tool("f", "", {"type": "object", "properties": PROPERTIES, "required": ["city"]})


def prompt(arguments, accepted=()):
    return Prompt("p", "s", (Message("user", "hi"),), (TOOL,), (ToolCall("f", arguments),), accepted=accepted)


def right(asked, arguments):
    return explain_bfcl([ToolCall("f", arguments)], accepted_of(asked), asked.tools) is None


def test_the_values_that_the_data_set_lists_are_taken_as_they_are():
    listed = (AcceptedCall("f", {"city": ("Rome", "Roma")}),)
    assert accepted_of(prompt({"city": "Rome"}, listed)) is listed


def test_each_value_of_the_reference_is_accepted_alone():
    asked = prompt({"city": "Rome", "filter": {"a": 1}, "items": [{"n": 1}, {"n": 2}]})
    assert accepted_of(asked)[0].values["city"] == ("Rome",)
    assert right(asked, {"city": "rome", "filter": {"a": 1}, "items": [{"n": 1}, {"n": 2}]})
    assert not right(asked, {"city": "Rome", "filter": {"a": 2}, "items": [{"n": 1}, {"n": 2}]})
    assert not right(asked, {"city": "Rome", "filter": {"a": 1}, "items": [{"n": 2}, {"n": 1}]})
    assert not right(asked, {"city": "Rome", "filter": {"a": 1}})


def test_an_object_lists_its_values_only_where_the_schema_allows_an_object():
    values = accepted_of(prompt({"city": "Rome", "any": 1, "raw": {"a": 1}, "filter": 2, "items": [3]}))[0].values
    assert (values["any"], values["raw"], values["filter"], values["items"]) == ((1,), ({"a": 1},), (2,), ([3],))
    assert accepted_of(prompt({"city": "Rome", "any": {"a": 1}}))[0].values["any"] == ({"a": [1]},)


def test_an_optional_that_equals_its_default_may_be_left_out_or_given():
    for asked in (prompt({"city": "Rome", "unit": "metric", "days": 1.0, "options": {"a": 1}}), prompt({"city": "Rome"})):
        assert right(asked, {"city": "Rome"})
        assert right(asked, {"city": "Rome", "unit": "Metric", "days": 1, "options": {"a": 1}})
        assert not right(asked, {"city": "Rome", "unit": "imperial"})
        assert not right(asked, {"city": "Rome", "days": 2})


def test_an_optional_with_another_value_than_its_default_must_be_given():
    asked = prompt({"city": "Rome", "unit": "imperial"})
    assert right(asked, {"city": "Rome", "unit": "imperial"})
    assert not right(asked, {"city": "Rome"})


def test_a_required_argument_is_not_left_out_though_it_has_a_default():
    tool = Tool("f", "", {"properties": {"n": {"type": "integer", "default": 1}}, "required": ["n"]})
    asked = Prompt("p", "s", (), (tool,), (ToolCall("f", {"n": 1}),))
    assert accepted_of(asked) == (AcceptedCall("f", {"n": (1,)}),)


def test_no_reference_accepts_nothing():
    assert accepted_of(Prompt("p", "s", (), (TOOL,), ())) == ()


def test_the_reference_of_another_language_is_the_value_of_its_literal():
    properties = {"n": {"type": "string", "x_type": "long"}, "m": {"type": "string", "x_type": "HashMap"}, "big": {"x_type": "long"}}
    tool = Tool("f", "", {"properties": properties, "required": [], "x_language": "java"})
    arguments = {"n": "5L", "m": 'new HashMap<>() {{ put("a", 1); }}', "big": f"{'9' * 5000}L"}
    asked = Prompt("p", "s", (), (tool,), (ToolCall("f", arguments),))
    assert accepted_of(asked)[0].values == {"n": (5,), "m": ({"a": [1]},), "big": (arguments["big"],)}
    asked = Prompt("p", "s", (), (tool,), (ToolCall("f", {"n": "5L", "m": arguments["m"]}),))
    assert right(asked, {"n": "5l", "m": 'new HashMap<String, Integer>() {{ put("a",1); }}'})
    assert not right(asked, {"n": "5", "m": arguments["m"]})


def test_a_default_may_be_stated_elsewhere_in_the_schema():
    tool = Tool("f", "", {"properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "integer", "default": 3}}})
    asked = Prompt("p", "s", (), (tool,), (ToolCall("f", {}),))
    assert accepted_of(asked) == (AcceptedCall("f", {"n": (3, "")}),)
