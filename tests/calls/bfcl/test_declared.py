"""The declared type of an argument, by the words of its origin and of JSON schema."""

import pytest

from toolrl.calls.bfcl.declared import declared


@pytest.mark.parametrize(
    ("schema", "outer", "inner"),
    [
        ({"type": "string"}, str, None),
        ({"type": "integer"}, int, None),
        ({"type": "number", "x_type": "float"}, float, None),
        ({"type": "number"}, float, None),
        ({"type": "boolean"}, bool, None),
        ({"x_type": "any"}, str, None),
        ({"type": "object", "x_type": "dict"}, dict, None),
        ({"type": "array", "items": {"type": "integer"}}, list, int),
        ({"type": "array", "x_type": "tuple", "items": {"type": "object", "x_type": "dict"}}, list, dict),
        ({"type": "array"}, list, None),
        ({"type": "integer", "x_type": "int"}, int, None),  # a word that BFCL does not use: JSON schema's counts
        ({"type": ["null", "integer"]}, int, None),
        ({"type": "null"}, None, None),
        ({}, None, None),
        (True, None, None),
        ({"type": {"a": 1}, "x_type": 3}, None, None),
    ],
)
def test_the_type_of_an_argument(schema, outer, inner):
    found = declared(schema)
    assert (found.outer, found.inner, found.literal) == (outer, inner, None)


@pytest.mark.parametrize(
    ("language", "schema", "outer", "inner", "word", "items"),
    [
        (
            "java",
            {"type": "array", "x_type": "ArrayList", "items": {"type": "string", "x_type": "String"}},
            list,
            str,
            "ArrayList",
            "String",
        ),
        ("java", {"type": "object", "x_type": "HashMap"}, dict, None, "HashMap", None),
        ("java", {"type": "boolean"}, bool, None, "boolean", None),
        ("javascript", {"type": "boolean", "x_type": "Boolean"}, bool, None, "Boolean", None),
        ("javascript", {"type": "array", "items": {"type": "number", "x_type": "float"}}, list, float, "array", "float"),
        ("java", {"type": "array", "x_type": "Queue"}, None, None, "any", None),
    ],
)
def test_the_type_of_an_argument_in_another_language(language, schema, outer, inner, word, items):
    found = declared(schema, language)
    assert (found.outer, found.inner, found.literal.word, found.literal.items) == (outer, inner, word, items)


@pytest.mark.parametrize("language", ["python", "", 1, None])
def test_of_any_other_language_values_are_json(language):
    assert declared({"type": "integer"}, language).literal is None
