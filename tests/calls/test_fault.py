"""Explanations are short, can be written as UTF-8, and lead to the place."""

from decimal import Decimal

from toolrl.calls.fault import MAX_SHOWN, Difference, Fault, describe, shown, step
from toolrl.calls.schema import ABSENT
from toolrl.types import Reason


def test_a_difference_is_told_as_json_under_its_path():
    found = Difference(Reason.WRONG_TYPE, ".days", 3, "3").under(".arguments").told("[0]")
    assert found == Fault(Reason.WRONG_TYPE, "[0].arguments.days", "3", '"3"')


def test_an_absent_side_is_told_as_nothing():
    assert Difference(Reason.MISSING_ARGUMENT, ".a", None, ABSENT).told("") == Fault(Reason.MISSING_ARGUMENT, ".a", "null", "")


def test_odd_keys_are_quoted():
    assert step("city") == ".city"
    assert step("a b") == '["a b"]'
    assert step("\ud800") == '["\\ud800"]'


def test_long_and_unwritable_text_is_made_fit_to_read():
    assert len(shown("x" * 10_000)) == MAX_SHOWN + 1
    shown("\ud800" * 10).encode()
    describe({"\udfff": "\ud800"}).encode()


def test_what_is_no_json_is_shown_as_python_writes_it():
    assert describe(float("nan")) == "nan"
    assert describe([Decimal("Infinity")]) == "[Decimal('Infinity')]"
