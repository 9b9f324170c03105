"""ACEBench's own rules: what they accept, what they refuse, and what they never look at."""

from decimal import Decimal

import pytest

from toolrl.evaluation.acebench.rules import accepts
from toolrl.evaluation.acebench.sentences import BEYOND, explain_silence, says, spoken
from toolrl.types import Reason, ToolCall


def function(required=(), **members):
    return {"name": "f", "parameters": {"type": "object", "properties": members, "required": [*required]}}


def fits(schema, label, value):
    return accepts([ToolCall("f", {"x": value})], [function(x=schema)], {"f": {"x": label}})


@pytest.mark.parametrize(
    ("kind", "label", "value", "right"),
    [
        ("string", "New York", "New York", True),
        ("string", "New York", "new-york, the city", True),  # the label's text is in it
        ("string", "New York", "York", False),
        ("string", "", "anything", True),
        ("string", "it's", 'it"s', True),
        ("string", "true", "true", False),  # read as a truth value, which is no text
        ("string", "5", 5, False),
        ("integer", 5, 7, True),  # numbers are not compared
        ("integer", 5, Decimal("5.0"), True),
        ("integer", 5, Decimal("5.5"), False),
        ("integer", 5, "5", False),
        ("integer", 1, True, True),
        ("number", Decimal("2.5"), Decimal("9.5"), True),
        ("number", Decimal("2.5"), 9, True),
        ("float", Decimal("2.5"), 9, True),
        ("boolean", True, False, True),
        ("boolean", True, "false", True),
        ("boolean", True, 0, False),
        ("string", 5, 7, True),  # a label of another type than the schema's: only its type counts
        ("string", ["a"], ["b", "c"], True),
    ],
)
def test_values_of_one_kind(kind, label, value, right):
    assert fits({"type": kind}, label, value) is right


@pytest.mark.parametrize(
    ("inner", "label", "value", "right"),
    [
        ("string", ["New York", "Oslo"], ["new york", "OSLO."], True),
        ("string", ["New York", "Oslo"], ["Oslo", "New York"], False),
        ("string", ["Oslo"], ["Oslo", "Rome"], False),
        ("number", [1, 2], [1, 2], True),
        ("number", [1, 2], [1, 3], False),  # in lists numbers are compared
        ("string", [], [], False),  # nothing passes for an empty list
        ("object", [{"a": "x"}], [{"a": "xy"}], True),
        ("object", [{"a": "x"}], [{"a": "y"}], False),
        ("object", [{"a": "x"}], [{"a": "x"}, {"a": "x"}], False),
        ("unheard-of", ["x"], ["x"], False),
    ],
)
def test_values_in_lists(inner, label, value, right):
    assert fits({"type": "array", "items": {"type": inner}}, label, value) is right


@pytest.mark.parametrize(
    ("label", "value", "right"),
    [
        ({"a": "Oslo", "b": 5}, {"b": 5, "a": "Oslo, Norway"}, True),
        ({"a": "Oslo"}, {"a": "Oslo", "b": 1}, False),
        ({"a": "Oslo"}, {}, False),
        ({"b": 5}, {"b": 51}, True),  # as texts, and 5 is in 51
        ({"b": 5}, {"b": 6}, False),
        ({"b": True}, {"b": "true"}, True),
        ({"c": {"d": "x"}}, {"c": {"d": "xx"}}, True),
        ({"c": {"d": "x"}}, {"c": {"e": "x"}}, False),
        ({"c": ["New York"]}, {"c": ["New York"]}, False),  # the answer's spaces are gone when the two are compared
        ({"c": ["Oslo"]}, {"c": ["Oslo"]}, True),
    ],
)
def test_values_in_objects(label, value, right):
    assert fits({"type": "object"}, label, value) is right


def test_an_argument_may_be_left_out_where_none_requires_it_and_none_may_be_added():
    functions = [function(("x",), x={"type": "integer"}, y={"type": "integer"}, z={"type": "integer"})]

    def right(**arguments):
        return accepts([ToolCall("f", arguments)], functions, {"f": {"x": 1, "y": 2}})

    assert right(x=1, y=2)
    assert right(x=1)
    assert not right(y=2)
    assert not right(x=1, z=3)  # in the schema, not in the label
    assert not right(x=1, w=3)
    assert not right()


def test_calls_are_as_many_and_of_the_same_names_in_any_order():
    functions = [function(x={"type": "string"}), {**function(x={"type": "string"}), "name": "g"}]
    f, g = ToolCall("f", {"x": "a"}), ToolCall("g", {"x": "b"})
    answer = {"f": {"x": "a"}, "g": {"x": "b"}}
    assert accepts([f, g], functions, answer)
    assert accepts([g, f], functions, answer)
    assert not accepts([f], functions, answer)
    assert not accepts([f, f], functions, answer)
    assert not accepts([f, g, g], functions, answer)
    assert not accepts([], functions, answer)


def test_calls_of_one_name_are_numbered_and_one_may_meet_two_of_the_answer():
    functions = [function(x={"type": "string"})]
    answer = {"f_1": {"x": "a"}, "f_2": {"x": "ab"}}
    one, two, other = (ToolCall("f", {"x": text}) for text in ("a", "ab", "zzz"))
    assert accepts([one, two], functions, answer)
    assert accepts([two, other], functions, answer)  # "ab" has both "a" and "ab" in it
    assert not accepts([one, other], functions, answer)


@pytest.mark.parametrize("name", ["f-g", "f g!", "class", "", "1f"])
def test_what_cannot_be_written_in_pythons_syntax_is_wrong(name):
    functions = [{**function(x={"type": "string"}), "name": name}]
    assert not accepts([ToolCall(name, {"x": "a"})], functions, {name: {"x": "a"}})
    assert not accepts([ToolCall("f", {name: "a"})], [function(**{name: {"type": "string"}})], {"f": {name: "a"}})


def test_dots_and_spaces_in_a_name_are_read_as_upstream_reads_them():
    functions = [{**function(x={"type": "string"}), "name": "a.b"}]
    assert accepts([ToolCall("a. b", {"x": "x"})], functions, {"a.b": {"x": "x"}})


@pytest.mark.parametrize(
    "schema",
    [
        {"name": "f", "arguments": {"properties": {"x": {"type": "string"}}, "required": []}},
        {"name": "f", "parameters": {"properties": {"x": {"type": "string"}}}},
        {"name": "f", "parameters": {"required": []}},
        {"name": "f", "parameters": {"properties": {"x": {}}, "required": []}},
        {"name": "f", "parameters": {"properties": {"x": {"type": ["string", "null"]}}, "required": []}},
        {"name": "g", "parameters": {"properties": {"x": {"type": "string"}}, "required": []}},
    ],
)
def test_where_upstreams_program_would_end_with_an_error_nothing_passes(schema):
    assert not accepts([ToolCall("f", {"x": "a"})], [schema], {"f": {"x": "a"}})


def test_a_function_without_parameters_is_called_without_any():
    functions = [{"name": "f", "parameters": {}}]
    assert accepts([ToolCall("f", {})], functions, {"f": {}})
    assert not accepts([ToolCall("f", {"x": 1})], functions, {"f": {}})


@pytest.mark.parametrize(
    ("category", "truth", "said", "right"),
    [
        ("special_irrelevant", "…", f"Due to {BEYOND}, I cannot solve this problem.", True),
        ("special_irrelevant", "…", "I cannot solve this problem.", False),
        ("special_incomplete", {"trip": ["day", "city"]}, "Missing necessary parameters (city, day) for the api (trip)", True),
        ("special_incomplete", {"trip": ["day", "city"]}, "Missing necessary parameters (day) for the api (trip)", False),
        ("special_incomplete", {"trip": ["day"]}, "Missing necessary parameters (day) for the api (book)", False),
        ("special_error_param", {"day": ["32 May"]}, "There is incorrect value (32 May) for the parameters (when)", True),
        ("special_error_param", {"day": ["32 May"]}, "There is incorrect value (May) for the parameters (day)", False),
        ("special_error_param", {"day": ["32 May"]}, "", False),
    ],
)
def test_the_words_that_upstream_looks_for_stand_outside_the_reasoning(category, truth, said, right):
    assert says(said, category, truth) is right
    assert says(f"<think>x</think>\n{said}", category, truth) is right
    assert not says(f"<think>{said}</think>Sorry.", category, truth)
    assert not says(f"<think>{said}", category, truth)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<think>x</think>No function fits.", None),
        ("No function fits.", None),
        ("<think>x</think><tool_call>[]</tool_call>", None),
        ("", Reason.NO_ANSWER),
        ("<think>x</think>", Reason.NO_ANSWER),
        ("<think>x", Reason.UNCLOSED_THINK),
        ('<tool_call>[{"name": "f", "arguments": {}}]</tool_call>', Reason.UNEXPECTED_CALL),
        ("<tool_call>f(</tool_call>", Reason.INVALID_JSON),
    ],
)
def test_where_no_call_is_right_none_is_made_and_something_is_said(text, reason):
    fault = explain_silence(text)
    assert (fault and fault.reason) == reason


def test_what_is_said_is_all_but_the_reasoning():
    assert spoken("<think>a</think> b <think>c</think> d") == "b   d"
    assert spoken("a</think> b") == "b"
    assert spoken("b <think>a") == "b"
