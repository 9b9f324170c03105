"""Several right values, by hand; strict equality of each is tested with `match`."""

from decimal import Decimal

import pytest

from toolrl.calls.accept import explain_accepted
from toolrl.calls.match import explain
from toolrl.types import AcceptedCall, Reason, Tool, ToolCall

SCHEMA = {
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "default": 3},
        "size": {"type": "number"},
        "milk": {"type": "object"},
        "stops": {"type": "array"},
    },
    "required": ["city"],
}
TOOLS = (Tool("book", "", SCHEMA),)


def fault(arguments, values):
    found = explain_accepted([ToolCall("book", arguments)], [AcceptedCall("book", values)], TOOLS)
    return found and (found.reason, found.path, found.expected, found.got)


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ({"city": "New York"}, {"city": ("NYC", "New York")}),
        ({"city": "NYC"}, {"city": ("NYC",), "size": (2, "")}),  # left out where "" says so
        ({"city": ""}, {"city": ("NYC", "")}),  # and given as "", which is a value too
        ({"city": "NYC"}, {"city": ("NYC",), "days": (3,)}),  # the stated default, left out
        ({"city": "NYC", "days": 3}, {"city": ("NYC",)}),  # the stated default, spelled out
        ({"city": "NYC", "size": Decimal("2.0")}, {"city": ("NYC",), "size": (1, 2)}),  # a number: by value
        ({"milk": {"kind": "oat", "hot": True}}, {"milk": ({"kind": ["oat", "soy"], "hot": [True], "ml": [200, ""]},)}),
        ({"milk": {"kind": ["oat"]}}, {"milk": ({"kind": [["oat"]]},)}),
        ({"stops": [{"at": "A"}, {"at": "B"}]}, {"stops": ([{"at": ["A"]}, {"at": ["b", "B"]}],)}),
        ({"stops": ["A", "B"]}, {"stops": (["B", "A"], ["A", "B"])}),
    ],
)
def test_right(arguments, values):
    assert fault(arguments, values) is None


@pytest.mark.parametrize(
    ("arguments", "values", "expected"),
    [
        ({"city": "nyc"}, {"city": ("NYC", "New York")}, (Reason.WRONG_VALUE, ".city", 'one of "NYC", "New York"', '"nyc"')),
        ({"city": 5}, {"city": ("NYC", "New York")}, (Reason.WRONG_TYPE, ".city", 'one of "NYC", "New York"', "5")),
        ({"city": "Rome"}, {"city": ("NYC",)}, (Reason.WRONG_VALUE, ".city", '"NYC"', '"Rome"')),
        ({}, {"city": ("NYC", "New York")}, (Reason.MISSING_ARGUMENT, ".city", 'one of "NYC", "New York"', "")),
        ({"size": True}, {"size": (1, "")}, (Reason.WRONG_TYPE, ".size", "1", "true")),
        ({"days": 4}, {}, (Reason.UNEXPECTED_ARGUMENT, ".days", "", "4")),
        ({"milk": {"kind": "rye"}}, {"milk": ({"kind": ["oat", "x"]},)}, (Reason.WRONG_VALUE, ".milk.kind", 'one of "oat", "x"', '"rye"')),
        ({"milk": {}}, {"milk": ({"kind": ["oat"]},)}, (Reason.MISSING_ARGUMENT, ".milk.kind", '"oat"', "")),
        ({"stops": [{"at": "A"}]}, {"stops": ([{"at": ["B"]}],)}, (Reason.WRONG_VALUE, ".stops[0].at", '"B"', '"A"')),
    ],
)  # fmt: skip
def test_wrong_and_why(arguments, values, expected):
    reason, path, wanted, got = expected
    assert fault(arguments, values) == (reason, f"[0].arguments{path}", wanted, got)


def test_calls_are_paired_by_a_maximum_matching():
    accepted = [AcceptedCall("book", {"city": ("A", "B")}), AcceptedCall("book", {"city": ("A",)})]
    a, b = (ToolCall("book", {"city": city}) for city in "AB")
    assert explain_accepted([a, b], accepted, TOOLS) is None  # though the first fit of A takes what B needs
    assert explain_accepted([b, a], accepted, TOOLS) is None
    assert explain_accepted([b, b], accepted, TOOLS).reason is Reason.WRONG_VALUE
    assert explain_accepted([a], accepted, TOOLS).reason is Reason.WRONG_COUNT


def test_a_call_where_none_is_accepted_and_another_name():
    call = ToolCall("cancel", {})
    assert explain_accepted([call], [], TOOLS).reason is Reason.UNEXPECTED_CALL
    assert explain_accepted([], [], TOOLS) is None
    found = explain_accepted([call], [AcceptedCall("book", {})], TOOLS)
    assert (found.reason, found.expected, found.got) == (Reason.WRONG_NAME, '"book"', '"cancel"')


@pytest.mark.parametrize(
    "arguments", [{"city": "A"}, {"city": "A", "days": 3}, {"city": "B"}, {"days": 4}, {"city": "A", "size": 1}, {"city": None}]
)
def test_one_value_each_is_strict_equality(arguments):
    reference = ToolCall("book", {"city": "A"})
    predicted = [ToolCall("book", arguments)]
    accepted = [AcceptedCall("book", {key: (value,) for key, value in reference.arguments.items()})]
    assert explain_accepted(predicted, accepted, TOOLS) == explain(predicted, [reference], TOOLS)
