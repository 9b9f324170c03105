"""BFCL's rules on one value, each worked by hand; `""` among the accepted values only says that the argument may be left out."""

from decimal import Decimal

import pytest

from toolrl.calls.bfcl.declared import Declared
from toolrl.calls.bfcl.values import as_loaded, difference, plain_text
from toolrl.types import Reason

RIGHT, TYPE, VALUE = None, Reason.WRONG_TYPE, Reason.WRONG_VALUE
MISSING, UNEXPECTED = Reason.MISSING_ARGUMENT, Reason.UNEXPECTED_ARGUMENT
OBJECTS = Declared(list, dict)


def reason(value, answers, declared):
    found = difference(value, answers, declared)
    return found and found.reason


@pytest.mark.parametrize(
    ("value", "answers", "declared", "expected"),
    [
        # Types are exact.
        (1, [1], int, RIGHT),
        (1.0, [1], int, TYPE),
        (True, [1], int, TYPE),
        (1, [True], bool, TYPE),
        ("1", [1], int, TYPE),
        (None, [1], int, TYPE),
        (1.0, [1.0], float, RIGHT),
        (2, [1], int, VALUE),
        # A value of the first accepted one's type passes as it is, whatever was declared.
        ("x", ["x"], int, RIGHT),
        ("X", ["x"], int, VALUE),  # and text is then exact
        (1, [1], str, RIGHT),
        (1.0, [1], float, RIGHT),  # the declared type, by value
        (1, [1.0, 1], float, TYPE),  # the first accepted one is a float
        (True, [True], int, RIGHT),
        (1, [True], int, RIGHT),  # 1 == True in Python
        (None, [None], str, RIGHT),
        (1, [""], str, TYPE),  # nothing but "": no type of its own
        ({"a": 1}, [{"a": 1}], str, RIGHT),  # a raw object where text was declared
        # Text.
        ("New York!", ["new-york!"], str, RIGHT),
        ("a.b,c/d-e_f*g^h i", ["ABCDEFGHI"], str, RIGHT),
        ("it's", ['IT"S'], str, RIGHT),
        ("a;b", ["ab"], str, VALUE),
        ("a\tb", ["ab"], str, VALUE),  # of white space only the space
        ("", ["", "x"], str, RIGHT),  # the empty text equals the mark
        (".", ["", "x"], str, RIGHT),
        (".", [""], str, RIGHT),
        ("é", ["E\u0301"], str, VALUE),  # no Unicode form
        # Lists: in order, texts as texts, all else by Python's equality.
        ([1, 2], [[1, 2]], Declared(list, int), RIGHT),
        ([2, 1], [[1, 2]], Declared(list, int), VALUE),
        (["A "], [["a"]], Declared(list, str), RIGHT),
        ([["A"]], [[["a"]]], Declared(list, list), VALUE),  # nested texts are exact
        ([1.0], [[1]], Declared(list, float), RIGHT),
        ([1.0], [[1]], Declared(list, int), TYPE),
        ([1], [[1.0]], Declared(list, float), TYPE),  # only a float on its own may be an integer
        ([True], [[1]], Declared(list, int), TYPE),
        ([True], [[1]], Declared(list, bool), RIGHT),
        (["x"], [["x"]], Declared(list, int), RIGHT),  # items of the label's own type
        (["x"], [[1], ["x"]], Declared(list, int), RIGHT),
        ([], [[1, 2], ""], Declared(list, int), RIGHT),  # "" holds no items
        ([], [[1], {}], Declared(list, int), RIGHT),  # and an empty object none
        ([], [[1], 0], Declared(list, int), VALUE),
        ([1], [""], Declared(list, int), VALUE),
        ("x", ["x", [1]], Declared(list, int), RIGHT),
        # Objects: each member has its own accepted values.
        ({"a": "X"}, [{"a": ["x", "y"]}], dict, RIGHT),
        ({"a": 1.0, "b": True}, [{"a": [1], "b": [1]}], dict, RIGHT),  # inside an object by Python's equality
        ({"a": "z"}, [{"a": ["x", "y"]}], dict, VALUE),
        ({"a": "x", "c": 1}, [{"a": ["x"]}], dict, UNEXPECTED),
        ({}, [{"a": ["x"]}], dict, MISSING),
        ({}, [{"a": ["x", ""]}], dict, RIGHT),
        ({}, [""], dict, VALUE),
        ({"a": {"b": 1}}, [{"a": [{"b": [1]}]}], dict, VALUE),  # only the outermost members list their values
        ({"a": {"b": 1}}, [{"a": [{"b": 1}]}], dict, RIGHT),
        ({"a": 2}, [{"a": [1]}, {"a": [2]}], dict, RIGHT),
        ({"a": "x"}, [{"a": "xy"}], dict, RIGHT),  # a text for a list of values stands for its characters
        ({}, [{"a": "xy"}], dict, RIGHT),
        ({"a": 1}, [{"a": 1}], dict, VALUE),
        ({}, [{"a": 1}], dict, MISSING),
        # Lists of objects: as many, in order.
        ([{"a": 1}, {"a": 2}], [[{"a": [1]}, {"a": [2]}]], OBJECTS, RIGHT),
        ([{"a": 2}, {"a": 1}], [[{"a": [1]}, {"a": [2]}]], OBJECTS, VALUE),
        ([{"a": 1}], [[{"a": [1]}, {"a": [2]}]], OBJECTS, VALUE),
        ([], [[{"a": [1]}], ""], OBJECTS, RIGHT),
        ([], [[{"a": [1]}], {}], OBJECTS, RIGHT),
        ([1], [[{"a": [1]}], ""], OBJECTS, TYPE),
        ([{"a": 1}], [[""]], OBJECTS, VALUE),
        # No stated type: that of the first accepted value.
        ("X", ["x"], Declared(None), RIGHT),
        (1, ["", 1], Declared(None), RIGHT),
        (1.0, [1], Declared(None), TYPE),
        ({"a": 1}, [{"a": [1]}], Declared(None), RIGHT),
    ],
)
def test_a_value_against_the_accepted_ones(value, answers, declared, expected):
    assert reason(value, answers, declared if isinstance(declared, Declared) else Declared(declared)) is expected


@pytest.mark.parametrize(
    ("value", "answers", "declared", "path", "expected", "got"),
    [
        ({"a": 3}, [{"a": [1, 2]}], Declared(dict), ".a", "one of 1, 2", 3),
        ({"a": 3}, [{"a": [1]}], Declared(dict), ".a", "1", 3),
        ([{"a": 1}, {"a": 3}], [[{"a": [1]}, {"a": [2]}]], OBJECTS, "[1].a", "2", 3),
        ({"a": "xy"}, [{"a": "xy"}], Declared(dict), ".a", 'one character of "xy"', "xy"),
        (3, ["", 1], Declared(int), "", "1", 3),
    ],
)
def test_a_fault_leads_to_the_place(value, answers, declared, path, expected, got):
    found = difference(value, answers, declared)
    assert (found.path, str(found.expected), found.got) == (path, expected, got)


def test_what_counts_of_a_text():
    assert plain_text("April 1, 2024: it's *A_B* ^/-.") == 'april12024:it"sab'


def test_values_are_as_json_loads_makes_them():
    assert as_loaded({"a": [Decimal("0.1"), 1, True, None, "x"]}) == {"a": [0.1, 1, True, None, "x"]}
    assert type(as_loaded(Decimal("1.0"))) is float
    for nested in (lambda inner: [inner], lambda inner: {"k": inner}):
        deep = Decimal(1)
        for _ in range(128):
            deep = nested(deep)
        assert as_loaded(deep) == deep
        with pytest.raises(ValueError, match="nested deeper"):
            as_loaded(nested(deep))
