"""Strict equality, row by row of its table, and against a slow matcher written here."""

import copy
import itertools
import unicodedata
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.calls.match import explain
from toolrl.types import Reason, Tool, ToolCall

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "price": {"type": "number"},
        "days": {"type": "integer"},
        "sure": {"type": "boolean"},
        "prices": {"type": "array", "items": {"type": "number"}},
        "box": {"type": "object", "properties": {"w": {"type": "number"}, "unit": {"type": "string", "default": "cm"}}},
        "unit": {"type": "string", "default": "metric"},
        "limit": {"type": "integer", "default": 10},
        "note": {"type": "string", "default": None},
        "free": {},
    },
    "required": ["city"],
}
TOOLS = (Tool("f", "", SCHEMA), Tool("g", "", {}))
NFC, NFD = unicodedata.normalize("NFC", "Zürich"), unicodedata.normalize("NFD", "Zürich")


def call(name="f", /, **arguments):
    return ToolCall(name, arguments)


def fault(got, expected):
    """The fault of one call of f against another, or None."""
    return explain([call(**got)], [call(**expected)], TOOLS)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ({"price": 1}, {"price": Decimal("1.0")}),
        ({"price": Decimal(1)}, {"price": 1}),  # 1e0
        ({"price": Decimal("1E+2")}, {"price": 100}),
        ({"prices": [1, Decimal("2.0")]}, {"prices": [Decimal("1.00"), 2]}),
        ({"box": {"w": 3}}, {"box": {"w": Decimal("3.0")}}),
        ({"days": Decimal("3.0")}, {"days": 3}),
        ({"price": Decimal("0.1")}, {"price": 0.1}),  # a float in a label stands for its shortest literal
        ({"price": Decimal("-0.0")}, {"price": 0}),
        ({"price": 10**30}, {"price": Decimal(10**30)}),
        ({"city": NFD}, {"city": NFC}),
        ({NFD: 1}, {NFC: 1}),
        ({"free": {"b": 1, "a": [None]}}, {"free": {"a": [None], "b": 1}}),
        ({"city": "x", "unit": "metric"}, {"city": "x"}),
        ({"city": "x"}, {"city": "x", "unit": "metric"}),
        ({"limit": Decimal("10.0")}, {}),
        ({"note": None}, {}),
        ({"box": {"w": 1, "unit": "cm"}}, {"box": {"w": 1}}),
    ],
)
def test_equal(got, expected):
    assert fault(got, expected) is None
    assert fault(expected, got) is None


@pytest.mark.parametrize(
    ("got", "expected", "reason", "path"),
    [
        ({"free": 1}, {"free": Decimal("1.0")}, Reason.WRONG_TYPE, "[0].arguments.free"),  # no schema says number here
        ({"city": 1}, {"city": Decimal("1.0")}, Reason.WRONG_TYPE, "[0].arguments.city"),
        ({"price": Decimal("1.0000000000000000000001")}, {"price": 1}, Reason.WRONG_VALUE, "[0].arguments.price"),
        ({"days": 2**53}, {"days": 2**53 + 1}, Reason.WRONG_VALUE, "[0].arguments.days"),  # the same float
        ({"price": Decimal("1e-999999999")}, {"price": 0}, Reason.WRONG_VALUE, "[0].arguments.price"),
        ({"sure": 1}, {"sure": True}, Reason.WRONG_TYPE, "[0].arguments.sure"),
        ({"price": True}, {"price": 1}, Reason.WRONG_TYPE, "[0].arguments.price"),
        ({"prices": [True]}, {"prices": [1]}, Reason.WRONG_TYPE, "[0].arguments.prices[0]"),
        ({"free": [1]}, {"free": [True]}, Reason.WRONG_TYPE, "[0].arguments.free[0]"),
        ({"free": {"a": {"b": False}}}, {"free": {"a": {"b": 0}}}, Reason.WRONG_TYPE, "[0].arguments.free.a.b"),
        ({"days": "1"}, {"days": 1}, Reason.WRONG_TYPE, "[0].arguments.days"),
        ({"city": "paris"}, {"city": "Paris"}, Reason.WRONG_VALUE, "[0].arguments.city"),
        ({"city": "Paris "}, {"city": "Paris"}, Reason.WRONG_VALUE, "[0].arguments.city"),
        ({"city": "Paris."}, {"city": "Paris"}, Reason.WRONG_VALUE, "[0].arguments.city"),
        ({"city": "\ufb01"}, {"city": "fi"}, Reason.WRONG_VALUE, "[0].arguments.city"),  # NFC, not NFKC
        ({"city": "\ud800"}, {"city": "x"}, Reason.WRONG_VALUE, "[0].arguments.city"),
        ({"prices": [2, 1]}, {"prices": [1, 2]}, Reason.WRONG_VALUE, "[0].arguments.prices[0]"),
        ({"prices": [1]}, {"prices": [1, 2]}, Reason.WRONG_VALUE, "[0].arguments.prices"),
        ({"prices": {}}, {"prices": []}, Reason.WRONG_TYPE, "[0].arguments.prices"),
        ({"unit": None}, {}, Reason.UNEXPECTED_ARGUMENT, "[0].arguments.unit"),
        ({"unit": ""}, {}, Reason.UNEXPECTED_ARGUMENT, "[0].arguments.unit"),
        ({"unit": "imperial"}, {}, Reason.UNEXPECTED_ARGUMENT, "[0].arguments.unit"),
        ({"limit": "10"}, {}, Reason.UNEXPECTED_ARGUMENT, "[0].arguments.limit"),
        ({"free": None}, {}, Reason.UNEXPECTED_ARGUMENT, "[0].arguments.free"),
        ({"odd key": 1}, {}, Reason.UNEXPECTED_ARGUMENT, '[0].arguments["odd key"]'),
        ({}, {"unit": "imperial"}, Reason.MISSING_ARGUMENT, "[0].arguments.unit"),
        ({}, {"city": "x"}, Reason.MISSING_ARGUMENT, "[0].arguments.city"),
        ({"box": {"w": 1, "unit": "m"}}, {"box": {"w": 1}}, Reason.UNEXPECTED_ARGUMENT, "[0].arguments.box.unit"),
        ({"free": None}, {"free": ""}, Reason.WRONG_TYPE, "[0].arguments.free"),
        ({NFC: 1, NFD: 2}, {NFC: 1}, Reason.UNEXPECTED_ARGUMENT, f"[0].arguments.{NFD}"),
    ],
)
def test_different(got, expected, reason, path):
    found = fault(got, expected)
    assert (found.reason, found.path) == (reason, path)
    assert fault(expected, got) is not None


def test_an_explanation_shows_both_sides_as_json():
    found = fault({"days": "3"}, {"days": 3})
    assert (found.expected, found.got) == ("3", '"3"')


def test_calls_are_a_multiset():
    a, b = call(city="a"), call(city="b")
    assert explain([b, a], [a, b], TOOLS) is None
    assert explain([a, a], [a, b], TOOLS).path == "[1].arguments.city"
    assert explain([a, b], [a, a], TOOLS).path == "[1].arguments.city"
    assert explain([a, b, a], [a, a, b], TOOLS) is None
    assert explain([a, a], [a], TOOLS).reason is Reason.WRONG_COUNT


def test_the_closest_calls_are_compared():
    reference = [call(city="Paris", days=3), call("g", x=1), call(city="Oslo", days=5)]
    found = explain([call(city="Oslo", days=4), call(city="Paris", days=3), call("g", x=1)], reference, TOOLS)
    assert (found.path, found.expected, found.got) == ("[0].arguments.days", "5", "4")


def test_of_several_wrong_calls_each_is_compared_with_the_most_alike():
    reference = [call(city="Paris", days=3), call(city="Oslo", days=5, price=9), call("g", x=1)]
    found = explain([call(city="Oslo", days=4, price=9), call("g", x=2), call(city="Paris", days=4)], reference, TOOLS)
    assert (found.path, found.expected, found.got) == ("[0].arguments.days", "5", "4")


def test_a_wrong_name_is_the_first_thing_said():
    found = explain([call("h", city="x")], [call(city="x", days=3)], TOOLS)
    assert (found.reason, found.path, found.expected, found.got) == (Reason.WRONG_NAME, "[0].name", '"f"', '"h"')


def test_a_call_where_none_was_wanted_is_unexpected():
    assert explain([call()], [], TOOLS).reason is Reason.UNEXPECTED_CALL
    assert explain([], [], TOOLS) is None


def test_marks_stacked_without_end_are_compared_as_they_are():
    """Bringing them into order takes quadratic time: minutes for this text."""
    stack = "\u0301\u0316" * 400_000
    assert fault({"city": "x" + stack}, {"city": "x"}).reason is Reason.WRONG_VALUE
    assert fault({"x" + stack: 1}, {}).reason is Reason.UNEXPECTED_ARGUMENT
    assert fault({"city": "x" + stack}, {"city": "x" + stack}) is None
    assert fault({"city": "o\u0316\u0301" + "\u0302" * 20}, {"city": "o\u0301\u0316" + "\u0302" * 20}) is None


def test_any_number_of_invented_arguments_is_explained():
    found = explain([ToolCall("f", {f"k{i}": i for i in range(20_000)}), call()], [call(city="a"), call(city="b")], TOOLS)
    assert found.reason is Reason.MISSING_ARGUMENT


# A slow matcher of another kind: every value is brought to a normal form, and all orders of the calls are tried.


def normal(value, schema):
    if isinstance(value, bool) or value is None:
        return ("constant", value)
    if isinstance(value, str):
        return ("text", unicodedata.normalize("NFC", value))
    if isinstance(value, int | Decimal):
        by_value = schema.get("type") in ("number", "integer")
        return ("number", Fraction(value), None if by_value else type(value))
    if isinstance(value, list):
        return ("list", tuple(normal(item, schema.get("items", {})) for item in value))
    members = schema.get("properties", {})
    kept = {}
    for key, item in value.items():
        inner = members.get(key, {})
        optional = "default" in inner and key not in schema.get("required", ())
        if not optional or normal(item, inner) != normal(inner["default"], inner):
            kept[unicodedata.normalize("NFC", key)] = normal(item, inner)
    return ("object", frozenset(kept.items()))


def slow_equal(predicted, reference):
    def form(c):
        return c.name, normal(c.arguments, SCHEMA if c.name == "f" else {})

    wanted = [form(c) for c in reference]
    return any([form(c) for c in order] == wanted for order in itertools.permutations(predicted))


LEAVES = st.sampled_from([0, 1, 10, Decimal("1.0"), Decimal("10.0"), True, False, None, "1", "", "metric", "cm", NFC, NFD, "a"])
ITEMS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["w", "unit", NFC]), inner, max_size=2),
    max_leaves=3,
)
ARGUMENTS = st.dictionaries(st.sampled_from(list(SCHEMA["properties"])), ITEMS, max_size=3)
CALL = st.builds(ToolCall, st.sampled_from(["f", "f", "g"]), ARGUMENTS)


@st.composite
def pairs(draw):
    """Call lists that are equal or nearly so: the second is the first in another order, with a few values redrawn."""
    first = draw(st.lists(CALL, max_size=3))
    second = copy.deepcopy(draw(st.permutations(first)))
    for index in range(len(second)):
        if draw(st.integers(0, 3)) == 0:
            second[index] = draw(CALL)
        elif second[index].arguments and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(second[index].arguments)))
            second[index] = ToolCall(second[index].name, second[index].arguments | {key: draw(ITEMS)})
    return first, second


@settings(max_examples=300)
@given(pairs())
def test_the_slow_matcher_agrees(pair):
    first, second = pair
    assert (explain(first, second, TOOLS) is None) == slow_equal(first, second)


@given(pairs())
def test_equality_is_symmetric(pair):
    first, second = pair
    assert (explain(first, second, TOOLS) is None) == (explain(second, first, TOOLS) is None)


def reordered(value):
    """The same value with the keys of every object reversed."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(st.lists(CALL, max_size=4).flatmap(lambda calls: st.tuples(st.just(calls), st.permutations(calls))))
def test_the_order_of_calls_and_keys_is_free(both):
    calls, shuffled = both
    assert explain([ToolCall(c.name, reordered(c.arguments)) for c in shuffled], calls, TOOLS) is None


@given(pairs())
def test_a_fault_leads_to_a_place_that_exists(pair):
    predicted, reference = pair
    found = explain(predicted, reference, TOOLS)
    if found is not None:
        side = reference if found.path.startswith("reference") else predicted
        assert int(found.path.partition("[")[2].partition("]")[0]) < len(side)


def test_a_default_that_would_need_itself_ends():
    """`{}` for `a` equals the default `{"a": {}}` only where the inner `{}` does, and so on for ever."""
    schema = {"properties": {"a": {"$ref": "#", "default": {"a": {}}}}}
    tools = (Tool("f", "", schema),)
    fault = explain([ToolCall("f", {"a": {}})], [ToolCall("f", {})], tools)
    assert fault is not None
    assert (fault.reason, fault.path) == (Reason.UNEXPECTED_ARGUMENT, "[0].arguments.a")
    assert explain([ToolCall("f", {"a": {"a": {}}})], [ToolCall("f", {})], tools) is None
