from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.jsontext import dumps, loads, loads_at

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
SCALARS = st.none() | st.booleans() | st.integers() | DECIMALS | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner))


def typed(value):
    """A value with its types spelled out, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value).__name__, value)


@given(VALUES)
def test_every_value_comes_back_with_its_types(value):
    assert typed(loads(dumps(value))) == typed(value)


@given(VALUES)
def test_sorted_text_does_not_depend_on_the_order_of_keys(value):
    def turned(item):
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(item)}
        return [turned(i) for i in item] if isinstance(item, list) else item

    assert dumps(turned(value), sort_keys=True) == dumps(value, sort_keys=True)


def test_numbers_keep_their_digits():
    text = '{"a": 0.10, "b": 12345678901234567890.123456789, "c": 1, "d": 1.0, "e": 1E+300}'
    value = loads(text)
    assert dumps(value) == text
    assert type(value["c"]) is int
    assert value["a"] == Decimal("0.10")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("NaN", "NaN"),
        ('{"a": 1, "a": 2}', "'a'"),
        ("[" * 1000 + "]" * 1000, "deeper"),
        ('["\\ud83d"]', "half of a surrogate pair"),
        ("[1] [2]", "more text"),
        ("9" * 5000, "digits"),
    ],
)
def test_what_json_does_not_have_is_refused_with_its_name(text, what):
    with pytest.raises(ValueError, match=what):
        loads(text)


def test_a_whole_surrogate_pair_is_a_character():
    assert loads('"\\ud83d\\ude00"') == "😀"


def test_a_value_inside_text_ends_where_it_ends():
    assert loads_at('see {"a": "}"} there', 4) == ({"a": "}"}, 14)
