"""JavaScript literals, worked by hand: what BFCL reads as a value, and what it leaves as text."""

import time
from contextlib import suppress

import pytest

from toolrl.calls.bfcl.javascript import TYPES, read_javascript


def same(found, expected):
    """Equal and of the same types, at every depth: 1 is not true here."""
    return repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ("String", "abc", "abc"),
        ("String", "'abc'", "abc"),
        ("String", '"abc"', "abc"),
        ("String", "\"abc'", "\"abc'"),
        ("String", '"', ""),
        ("integer", "-12", -12),
        ("integer", "1.0", "1.0"),
        ("float", "1.5", 1.5),
        ("float", "2", 2.0),
        ("float", "1e3", "1e3"),
        ("Bigint", "12n", 12),
        ("Bigint", "12", "12"),
        ("Boolean", "true", True),
        ("Boolean", "TRUE", "TRUE"),
        ("any", "'x'", "'x'"),
    ],
)
def test_a_scalar(word, text, value):
    assert same(read_javascript(text, word), value)


def test_a_line_break_after_a_bigint_is_refused():
    with pytest.raises(ValueError, match="invalid literal"):
        read_javascript("12n\n", "Bigint")
    assert read_javascript("12\n", "integer") == 12


@pytest.mark.parametrize(
    ("text", "items", "value"),
    [
        ("[1, 2]", "integer", [1, 2]),
        ("[1, 2.5]", "integer", [1, "2.5"]),
        ("['a', \"b\"]", "String", ["a", "b"]),
        ("[1, 'a', true, 2.5, x]", None, [1, "a", True, 2.5, "x"]),
        ("new Array(1, 2)", "integer", [1, 2]),
        ("new  Array(1, 2)", "float", [1.0, 2.0]),
        ("  [1]  ", "integer", [1]),
        ("[]", "integer", []),
        ("[ ]", "integer", []),
        ("[1,]", "integer", [1, ""]),
        ("[1] + [2]", "integer", [1]),
        ("['a, b']", "String", ["'a", "b'"]),
        ("['a', [1]", None, ["a", "[1"]),
        ("[12n\n]", "Bigint", "[12n\n]"),
        ("[1,\n2]", "integer", "[1,\n2]"),
        ("x[1]", "integer", "x[1]"),
        ("new Array(1", "integer", "new Array(1"),
        ("[[1, 'a'], [true]]", "array", [[1, "a"], [True]]),
        ("[ [1] ,\n [2]]", "array", [[1], [2]]),
        ("[[1],[2]]", "array", [[1], [2]]),
        ("[[1],\n[2]]", "array", [[1], [2]]),
        ("[[a], [b] c], [d]]", "array", [["a"], ["b"], ["d"]]),  # the second row ends after `c`
        ("new Array([1, 2], [3])", "array", [[1, 2], [3]]),
        ("f(1)", "integer", "f(1)"),
        ("[[]]", "array", [[""]]),
        ("[[1, 2], 3]", "array", ["[1", "2"]),
        ("[[1], [2]", "array", ["[1"]),
        ("[{'a': 1}, {'a': 2}]", "dict", [{"a": 1}, {"a": 2}]),
        ("[{'a': 1, 'b': 2}]", "dict", ["{'a': 1", "'b': 2}"]),
    ],
)
def test_an_array(text, items, value):
    assert same(read_javascript(text, "array", items), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("{a: 1, 'b': 'x', \"c\": true, d: y}", {"a": 1, "b": "x", "c": True, "d": "y"}),
        ("{a:1,b:2}", {"a": 1, "b": 2}),
        ("{a: [1, 'x'], b: [2]}", {"a": [1, "x"], "b": [2]}),
        ("{a: 'x, y', b: 2}", {"a": "x, y", "b": 2}),
        ("{a: 'x: y, z: w'}", {"a": "x: y", "z": "w"}),
        ("{a: '1'}", {"a": 1}),  # quotes are dropped before the value is read
        ("{a: {b: 1}}", {"a": "{b: 1"}),  # objects do not nest
        ("{a: [[1], [2]]}", {"a": [[1], [2]]}),
        ("{a: 1,}", {"a": "1,"}),
        ("{a: }", {"a": ""}),
        ("{:a: 1}", {"a": 1}),
        ("{a: 1, : 2}", {"a": 1, "": 2}),
        ("{a}", {}),
        ("{ }", {}),
        ("{a: 1} tail", {"a": 1}),
        (" {a: 1}", {"a": 1}),
        ("{a:\n1}", "{a:\n1}"),
        ("({a: 1})", "({a: 1})"),
        ("{a: 1", "{a: 1"),
    ],
)
def test_an_object(text, value):
    assert same(read_javascript(text, "dict"), value)


HOSTILE = [
    "[",
    "]",
    "[[1],",
    "[1],",
    ",[",
    "],[",
    "new Array([",
    "new Array(",
    "{",
    "a:",
    "a:1,",
    ":",
    ", ",
    ",:",
    " ",
    "\n",
    "'",
    "9",
    "{a: [[1],",
]


@pytest.mark.parametrize("word", TYPES)
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_is_read_in_time_or_refused(word, unit):
    for text in (
        unit * (16_000 // len(unit)),
        "[[" + unit * (16_000 // len(unit)),
        "{" + unit * (15_000 // len(unit)) + "}",
        unit * 100_000,
    ):
        start = time.perf_counter()
        with suppress(ValueError):
            read_javascript(text, word, "any")
        assert time.perf_counter() - start < 1
