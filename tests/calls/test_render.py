"""What is rendered is read back as the same calls, digit by digit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.calls.jsontext import decode
from toolrl.calls.parse import Calls, parse
from toolrl.calls.render import call_to_json, render_calls, render_completion, to_json
from toolrl.types import ToolCall

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def same(a, b):
    """Equal in value and in type at every depth."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_completion_has_the_format_the_prompt_asks_for():
    calls = (ToolCall("f", {"city": "São <Paulo>", "n": 1}), ToolCall("g", {}))
    assert render_completion(calls, "Because.") == (
        "<think>\nBecause.\n</think>\n"
        '<tool_call>\n[{"name": "f", "arguments": {"city": "São <Paulo>", "n": 1}}, {"name": "g", "arguments": {}}]\n</tool_call>'
    )
    assert render_calls(()) == "<tool_call>\n[]\n</tool_call>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("1"), "1.0"),  # read from 1e0: not an integer literal
        (Decimal("1E+2"), "1E+2"),
        (1.5, "1.5"),
        (10**30, "1" + "0" * 30),
        (True, "true"),
        (None, "null"),
        ("\ud800é\u2028\n", '"\\ud800é\u2028\\n"'),
        ({"a": (1, [])}, '{"a": [1, []]}'),
    ],
)
def test_values_are_written_exactly(value, text):
    assert to_json(value) == text


@pytest.mark.parametrize("value", [float("nan"), Decimal("Infinity"), {1, 2}, {1: 2}, b"x"])
def test_what_is_no_json_is_not_written(value):
    with pytest.raises(ValueError):
        to_json(value)


@given(VALUES)
def test_every_value_survives_writing_and_reading(value):
    assert same(decode(to_json(value)), value)


@given(st.lists(st.builds(ToolCall, TEXTS, st.dictionaries(TEXTS, VALUES, max_size=3)), max_size=3))
def test_every_call_survives_rendering_and_parsing(calls):
    parsed = parse(render_completion(calls, "x"))
    assert isinstance(parsed, Calls)
    assert all(same(dict(a.arguments), dict(b.arguments)) and a.name == b.name for a, b in zip(parsed.calls, calls, strict=True))
    assert [decode(call_to_json(call))["name"] for call in calls] == [call.name for call in calls]
