"""The diff of calls as it is read."""

from toolrl.calls.diff import diff_calls
from toolrl.pipelines.review.diff_page import diff_lines, side_by_side
from toolrl.types import Prompt, Tool, ToolCall

TOOLS = (Tool("f", "", {"properties": {"limit": {"type": "integer", "default": 10}}}),)


def lines(predicted, reference, width=80):
    return diff_lines(diff_calls(predicted, Prompt("p", "s", (), TOOLS, tuple(reference))), reference, width)


def call(name="f", **arguments):
    return ToolCall(name, arguments)


def test_each_argument_has_a_line_with_a_mark():
    assert lines([call(a=1, b="x", d=4)], [call(a=1, b="y", c=None, limit=10)]) == [
        "≠ f  (reference[0] and [0])",
        "     argument  reference  completion",
        "     a         1          1",
        '  ≠  b         "y"        "x"         wrong_value',
        "  -  c         null       (none)      missing_argument",
        "     limit     10         (none)      may be left out",
        "  +  d         (none)     4           unexpected_argument",
    ]


def test_calls_that_are_missing_extra_or_of_another_name():
    assert lines([call("g")], [call("f")]) == ["≠ reference[0] and [0]: name 'f', got 'g'", "    no arguments"]
    assert lines([], [call(a="x")]) == ["- f  (reference[0]) is missing", '    a  "x"']
    assert lines([call(a="x")], []) == ["+ f  ([0]) answers no call of the reference", '    a  "x"']
    assert lines([], []) == ["  no call is given, and none is wanted"]


def test_long_values_are_cut_where_they_differ():
    a, b = side_by_side("x" * 100 + "A" + "y" * 100, "x" * 100 + "B" + "y" * 100, 40)
    assert a == "…" + "x" * 12 + "A" + "y" * 25 + "…"
    assert b == "…" + "x" * 12 + "B" + "y" * 25 + "…"
    assert side_by_side("abc", "x" * 50, 10) == ("abc", "x" * 9 + "…")


def test_lines_fit_the_width_even_if_values_are_long():
    found = lines([call(a="x" * 500, b=1)], [call(a="x" * 499 + "y", b=1)], width=80)
    assert max(map(len, found)) <= 80
    assert found[2].count("…") == 2
