"""What the readers of Java and JavaScript literals share."""

import re

import pytest

from toolrl.calls.bfcl.literals import MAX_LITERAL, is_quoted, number_or_text, require_readable, runs, skip_space


@pytest.mark.parametrize(
    ("text", "least", "found"),
    [
        ("[1][2", 0, ["1"]),
        ("[][2]", 0, ["", "2"]),
        ("[][2]", 1, ["][2"]),
        ("[a[b]c]", 0, ["a[b"]),  # the first that opens, to the first that closes
        ("[a\n[b]", 0, ["b"]),  # on one line
        ("]", 0, []),
    ],
)
def test_runs_stand_between_brackets_on_one_line(text, least, found):
    assert list(runs(text, re.compile(r"\["), "]", least)) == found


def test_space_is_skipped():
    assert skip_space("a \n\tb", 1) == 4
    assert skip_space("a", 1) == 1


def test_a_lone_quote_is_quoted():
    assert is_quoted('"', '"')
    assert is_quoted('"a"', '"')
    assert not is_quoted("'a\"", '"')


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("+1", 1), ("1_0", 10), ("1.0", 1.0), ("1e3", 1000.0), ("x", "x"), ("", "")])
def test_a_number_is_what_python_reads(text, value):
    assert repr(number_or_text(text)) == repr(value)


def test_a_collection_beyond_the_cap_is_refused():
    require_readable("x" * MAX_LITERAL)
    with pytest.raises(ValueError, match="16385 characters"):
        require_readable("x" * (MAX_LITERAL + 1))
