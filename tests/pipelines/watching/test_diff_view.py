"""What differs from the reference stands out, in colour and without."""

from toolrl.calls.diff import diff_calls
from toolrl.pipelines.watching.diff_view import diff_view, differing
from toolrl.types import ToolCall


def test_only_what_differs_is_coloured():
    expected, got = differing('"Oslo, Norway"', '"Rome, Norway"')
    assert [(expected.plain[s.start : s.end], str(s.style)) for s in expected.spans] == [("Oslo", "bold green")]
    assert [(got.plain[s.start : s.end], str(s.style)) for s in got.spans] == [("Rome", "bold red")]


def test_a_value_that_repeats_itself_is_not_counted_twice():
    expected, got = differing("aa", "aaa")
    assert [(s.start, s.end) for s in expected.spans] == []
    assert [(s.start, s.end) for s in got.spans] == [(2, 3)]


def test_marks_tell_the_same_without_colour(weather, drawn):
    calls = (ToolCall("forecast", {"city": "Rome", "unit": "C"}), ToolCall("other", {}))
    lines = drawn(diff_view(diff_calls(calls, weather.prompt), weather.prompt.reference, 80))
    assert lines[0] == "≠ forecast  (reference[0] and [0])"
    rows = [line.split() for line in lines[2:-1]]
    assert rows[0] == ["≠", "city", '"Oslo"', '"Rome"', "wrong_value"]
    assert rows[1] == ["days", "3", "(none)", "may", "be", "left", "out"]
    assert rows[2] == ["+", "unit", "(none)", '"C"', "unexpected_argument"]
    assert lines[-1] == "+ other  ([1]) answers no call of the reference"


def test_a_call_that_is_missing_is_shown_with_what_it_should_be(weather, drawn):
    lines = drawn(diff_view(diff_calls((), weather.prompt), weather.prompt.reference, 80))
    assert lines == ["- forecast  (reference[0]) is missing", '    city  "Oslo"', "    days  3"]


def test_where_no_call_is_wanted_and_none_given_it_says_so(drawn):
    assert drawn(diff_view((), (), 80)) == ["  no call is given, and none is wanted"]
