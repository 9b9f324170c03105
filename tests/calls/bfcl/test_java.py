"""Java literals, worked by hand: what BFCL reads as a value, and what it leaves as text."""

import time
from contextlib import suppress

import pytest

from toolrl.calls.bfcl.java import TYPES, read_java


def same(found, expected):
    """Equal and of the same types, at every depth: 1 is not true here."""
    return repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ("integer", "12", 12),
        ("short", "-3", -3),
        ("byte", "7", 7),
        ("integer", "12\n", 12),
        ("integer", "+12", "+12"),
        ("integer", " 12", " 12"),
        ("integer", "1_000", "1_000"),
        ("integer", "12L", "12L"),
        ("integer", "1.0", "1.0"),
        ("long", "250L", 250),
        ("long", "-250l", -250),
        ("long", "250L\n", 250),
        ("long", "250", "250"),
        ("float", "1.5f", 1.5),
        ("float", "2F", 2.0),
        ("float", "1e3f", 1000.0),
        ("float", "1.5", "1.5"),
        ("float", ".5f", ".5f"),
        ("double", "1.5", 1.5),
        ("double", "2", 2.0),
        ("double", "1.5e-1", 0.15),
        ("double", "1.5f", "1.5f"),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", "True", "True"),
        ("char", "'c'", "'c'"),
        ("String", '"s"', '"s"'),
        ("any", "null", "null"),
    ],
)
def test_a_scalar(word, text, value):
    assert same(read_java(text, word), value)


@pytest.mark.parametrize(
    ("text", "items", "value"),
    [
        ("new ArrayList<Integer>(Arrays.asList(1, 2))", "integer", [1, 2]),
        ("new ArrayList<>(Arrays.asList(7))", "integer", [7]),
        ("new  ArrayList<>(Arrays.asList(1,2L))", "integer", [1, "2L"]),
        ('new ArrayList<String>(Arrays.asList("a", "b c"))', "String", ["a", "b c"]),
        ("new ArrayList<Character>(Arrays.asList('a'))", "char", ["a"]),
        ('new ArrayList<>(Arrays.asList(1, "a", true, 2L, 1.5f, 2.5, x))', None, [1, "a", True, 2, 1.5, 2.5, "x"]),
        ('new ArrayList<>(Arrays.asList("a"))', "any", ['"a"']),
        ("new ArrayList<Integer>() {{ add(1); add(2); }}", "integer", [1, 2]),
        ("new ArrayList<Integer>() {{\n  add(1);\n  add(2);\n}}", "integer", [1, 2]),
        ("new ArrayList<Integer>() {{ add(1); }} {{ add(2); }}", "integer", [1]),
        ("new ArrayList<Integer>() {{ add(1); } add(2); }", "integer", []),  # never closed: an empty list
        ("new ArrayList<Integer>()", "integer", []),
        ("x = new ArrayList<>(); y", "integer", []),
        ("new ArrayList<List<String>>()", "String", "new ArrayList<List<String>>()"),
        ("new ArrayList<>(Arrays.asList())", "integer", "new ArrayList<>(Arrays.asList())"),
        ("new ArrayList<>(Arrays.asList(\n1))", "integer", "new ArrayList<>(Arrays.asList(\n1))"),
        ("new ArrayList<>(Arrays.asList(1)", "integer", "new ArrayList<>(Arrays.asList(1)"),
        ("new ArrayList<>(Arrays.asList(f(1)))", "any", ["f(1"]),
        ("Arrays.asList(1, 2)", "integer", "Arrays.asList(1, 2)"),
        ("[1, 2]", "integer", "[1, 2]"),
    ],
)
def test_an_array_list(text, items, value):
    assert same(read_java(text, "ArrayList", items), value)


@pytest.mark.parametrize(
    ("text", "items", "value"),
    [
        ("new int[]{1, 2}", "integer", [1, 2]),
        ("new int[] { 1 , 2, }", "integer", [1, 2]),
        ("new int[]{}", "integer", []),
        ('new String[]{"a", "b"}', "String", ['"a"', '"b"']),  # in an array strings keep their quotes
        ('new Object[]{"a", 1}', None, ["a", 1]),
        ("new int[2]", "integer", "new int[2]"),
        ("new int[]{1,\n2}", "integer", "new int[]{1,\n2}"),
        ("{1, 2}", "integer", "{1, 2}"),
    ],
)
def test_an_array(text, items, value):
    assert same(read_java(text, "Array", items), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('new HashMap<String, Object>() {{ put("a", 1); put("b", "x y"); put("c", true); }}', {"a": 1, "b": "x y", "c": True}),
        ('new HashMap<>() { { put("a", 1L); } }', {"a": 1}),
        ('new HashMap<>() {{\nput("a",\n  1);\n}}', {"a": 1}),
        ('new HashMap<>() {{ put("a", 1); }', {"a": 1}),
        ('new HashMap<>() {{ put("a", f(1)); }}', {"a": "f(1"}),
        ('new HashMap<>() {{ put("a", "b",\n1); }}', {'a", "b': 1}),
        ('new HashMap<>() {{ put("a", 1); put("a", 2); }}', {"a": 2}),
        ("new HashMap<>() {{ put(a, 1); }}", {}),
        ("new HashMap<>() {}", {}),
        ("new HashMap<>()", {}),
        ("new HashMap<String,\nString>()", "new HashMap<String,\nString>()"),
        ("new HashMap<String,\nString>() {}", {}),
        ("new HashMap<>", "new HashMap<>"),
        ('Map.of("a", 1)', 'Map.of("a", 1)'),
    ],
)
def test_a_map(text, value):
    assert same(read_java(text, "HashMap"), value)


HOSTILE = [
    "new ArrayList<>(Arrays.asList(", "new ArrayList<>() {{ add(", "add(", "new int[]{", 'put("', 'put("",', "new HashMap<",
    "new HashMap<>() {{", "new HashMap<>() {{ " + 'put("",', "new ", "new\n", ">", "(", "{", "{{", " ", "\n", '",', '",\n', "9",
]  # fmt: skip


@pytest.mark.parametrize("word", TYPES)
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_is_read_in_time_or_refused(word, unit):
    for text in (unit * (16_000 // len(unit)), "new HashMap<>() {{ " + unit * (8_000 // len(unit)) + "\n)}", unit * 100_000):
        start = time.perf_counter()
        with suppress(ValueError):
            read_java(text, word, "any")
        assert time.perf_counter() - start < 1
