"""JSON is read exactly, within caps, and what is no JSON is refused with a reason."""

from decimal import Decimal

import pytest

from toolrl.calls.jsontext import LOOSE, MAX_DEPTH, MAX_DIGITS, PYTHON, JsonError, decode, scan
from toolrl.types import Reason


def reason_of(text, decoder=None):
    with pytest.raises(JsonError) as caught:
        decode(text) if decoder is None else decode(text, decoder)
    return caught.value.reason


def test_fractions_never_pass_through_float():
    value = decode("[0.1, 1e2, 12345678901234567890.5, 123456789012345678901234567890]")
    assert value == [Decimal("0.1"), Decimal(100), Decimal("12345678901234567890.5"), 123456789012345678901234567890]
    assert [type(item) for item in value] == [Decimal, Decimal, Decimal, int]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", Reason.INVALID_JSON),
        ("-Infinity", Reason.INVALID_JSON),
        ("1e999", Reason.INVALID_JSON),
        ("-1e309", Reason.INVALID_JSON),
        ("1e99999999999999999999999", Reason.INVALID_JSON),
        ("[1] 2", Reason.INVALID_JSON),
        ("", Reason.INVALID_JSON),
        ("01", Reason.INVALID_JSON),
        ("'a'", Reason.INVALID_JSON),
        ('"a\nb"', Reason.INVALID_JSON),
        ('{"a": 1, "a": 1}', Reason.DUPLICATE_KEY),
        ("9" * 5000, Reason.TOO_LARGE),
        ("0." + "9" * 5000, Reason.TOO_LARGE),
        ("[" * 100_000, Reason.TOO_LARGE),
        ('{"a":' * 100_000, Reason.TOO_LARGE),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), Reason.TOO_LARGE),
    ],
)
def test_what_is_no_json_has_a_reason(text, reason):
    assert reason_of(text) is reason


def test_the_largest_double_is_a_number_and_the_next_is_not():
    assert decode("1.7976931348623157e308") == Decimal("1.7976931348623157e308")
    assert reason_of("1.7976931348623159e308") is Reason.INVALID_JSON  # rounds to infinity


def test_a_tiny_number_is_exact_and_not_zero():
    assert decode("1e-999999999") != 0


def test_the_caps_themselves_are_allowed():
    assert decode("9" * MAX_DIGITS) == 10**MAX_DIGITS - 1
    assert decode("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_brackets_inside_strings_are_not_nesting():
    assert decode('["' + "[{" * 1000 + '\\"[[["]') == ["[{" * 1000 + '"[[[']
    assert decode("[" + ", ".join(["[]"] * 1000) + "]") == [[]] * 1000


def test_what_follows_a_value_is_not_its_nesting():
    assert scan("[[]]" + "[" * 1000, 0) == ([[]], 4)


def test_quotes_without_end_are_measured_in_linear_time():
    assert reason_of("[" * 200 + '"' + '\\"' * 200_000) is Reason.TOO_LARGE
    assert reason_of("[[" + '"' + '\\"[' * 200_000) is Reason.INVALID_JSON


def test_a_repeated_key_among_many_is_named_in_linear_time():
    with pytest.raises(JsonError, match="'k7' stands twice"):
        decode("{" + "".join(f'"k{i}": 1, ' for i in range(80_000)) + '"k7": 2}')


def test_python_rules_are_those_of_the_json_module():
    assert decode('{"a": 1, "a": 1.50}', PYTHON) == {"a": 1.5}
    assert decode("Infinity", PYTHON) == float("inf")
    assert reason_of("9" * 5000, PYTHON) is Reason.TOO_LARGE


def test_loose_rules_forgive_line_breaks_and_repeated_keys():
    assert decode('{"a": 1, "a": "x\ny"}', LOOSE) == {"a": "x\ny"}
    assert reason_of("NaN", LOOSE) is Reason.INVALID_JSON


def test_a_value_ends_where_its_json_ends():
    text = 'see {"tag": "</tool_call>"}</tool_call>'
    value, end = scan(text, 4)
    assert value == {"tag": "</tool_call>"}
    assert text[end:] == "</tool_call>"
