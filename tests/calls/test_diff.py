"""The diff of calls: who answers whom, and what is the same, different, missing or extra."""

from decimal import Decimal

from toolrl.calls import diff
from toolrl.calls.match import explain
from toolrl.calls.schema import ABSENT
from toolrl.types import AcceptedCall, Prompt, Reason, Tool, ToolCall

TOOLS = (Tool("f", "", {"properties": {"n": {"type": "number"}, "limit": {"type": "integer", "default": 10}}, "required": ["n"]}),)


def call(name="f", **arguments):
    return ToolCall(name, arguments)


def diff_calls(predicted, reference, tools, accepted=()):
    return diff.diff_calls(predicted, Prompt("p", "s", (), tuple(tools), tuple(reference), accepted=accepted))


def told(diffs):
    """Short forms: (reference, predicted, right) and below it path, expected, got, reason."""
    return [((d.reference, d.predicted, d.right), [(a.path, a.expected, a.got, str(a.reason)) for a in d.arguments]) for d in diffs]


def test_arguments_are_the_same_different_missing_or_extra():
    diffs = diff_calls([call(n=1, b="x", d=True)], [call(n=Decimal("1.0"), b="y", c=None)], TOOLS)
    assert told(diffs) == [
        (
            (0, 0, False),
            [
                ("n", Decimal("1.0"), 1, "correct"),  # a number by schema: 1 is 1.0
                ("b", "y", "x", "wrong_value"),
                ("c", None, ABSENT, "missing_argument"),
                ("d", ABSENT, True, "unexpected_argument"),
            ],
        )
    ]


def test_a_default_may_be_left_out_on_either_side():
    [left_out] = diff_calls([call(n=1)], [call(n=1, limit=10)], TOOLS)
    [spelled_out] = diff_calls([call(n=1, limit=10)], [call(n=1)], TOOLS)
    assert left_out.right
    assert spelled_out.right
    assert left_out.arguments[1].got is spelled_out.arguments[1].expected is ABSENT
    [wrong] = diff_calls([call(n=1, limit=9)], [call(n=1)], TOOLS)
    assert [a.reason for a in wrong.arguments] == [Reason.CORRECT, Reason.UNEXPECTED_ARGUMENT]


def test_inside_an_argument_each_place_that_differs_is_named():
    [found] = diff_calls([call(q={"a": [1, 2], "b": 3})], [call(q={"a": [1, 5], "b": "3"})], ())
    assert [(a.path, a.expected, a.got, str(a.reason)) for a in found.arguments] == [
        ("q.a[1]", 5, 2, "wrong_value"),
        ("q.b", "3", 3, "wrong_type"),
    ]


def test_calls_are_paired_whatever_their_order_and_the_most_alike_of_the_rest():
    predicted = [call(n=3, x=0), call("g", a=1), call(n=1, x=0), call(n=2)]
    reference = [call(n=1), call(n=2), call(n=4)]
    assert [row for row, _ in told(diff_calls(predicted, reference, TOOLS))] == [
        (0, 2, False),
        (1, 3, True),
        (2, 0, False),
        (None, 1, False),
    ]


def test_a_call_without_a_partner_is_shown_whole_and_breaks_no_rule_of_arguments():
    (missing,) = diff_calls([], [call(n=1)], TOOLS)
    (extra,) = diff_calls([call(n=1)], [], TOOLS)
    assert (missing.expected_name, missing.got_name, missing.right) == ("f", "", False)
    assert (extra.expected_name, extra.got_name, extra.right) == ("", "f", False)
    assert [a.reason for a in (*missing.arguments, *extra.arguments)] == [Reason.CORRECT] * 2


def test_another_name_is_a_difference_of_the_call():
    [found] = diff_calls([call("g", n=1)], [call("f", n=1)], TOOLS)
    assert (found.expected_name, found.got_name, found.right) == ("f", "g", False)


def test_keys_are_the_same_in_either_unicode_form():
    decomposed, composed = ToolCall("f", {"e\u0301": 1}), ToolCall("f", {"\u00e9": 1})
    [found] = diff_calls([decomposed], [composed], ())
    assert found.right
    assert explain([decomposed], [composed], ()) is None


def test_where_several_values_are_right_they_are_the_reference():
    accepted = (AcceptedCall("f", {"city": ("NYC", "New York"), "days": (3, ""), "q": ({"a": [1, 2]},)}),)
    [found] = diff_calls([call(city="Oslo", q={"a": 3}, n=1)], [call(city="NYC", days=3, q={"a": 1})], (), accepted)
    assert [(a.path, str(a.expected), a.got, str(a.reason)) for a in found.arguments if a.path != "days"] == [
        ("city", 'one of "NYC", "New York"', "Oslo", "wrong_value"),
        ("q.a", "one of 1, 2", 3, "wrong_value"),
        ("n", str(ABSENT), 1, "unexpected_argument"),
    ]
    days = next(a for a in found.arguments if a.path == "days")
    assert (days.expected, days.got, days.reason) == (3, ABSENT, Reason.CORRECT)
    [right] = diff_calls([call(city="New York", q={"a": 2})], [call(city="NYC", days=3, q={"a": 1})], (), accepted)
    assert right.right
