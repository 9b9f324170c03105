from decimal import Decimal
from random import Random

import pytest

from toolrl.data.demo.vocabulary import KINDS, Flag, Tenths, Whole, Words


@pytest.mark.parametrize("name", KINDS)
def test_a_drawn_value_is_what_its_text_says(name):
    kind, random = KINDS[name], Random(0)
    for _ in range(100):
        value, text = kind.draw(random)
        match kind:
            case Words():
                assert value == text
                assert value in kind.values
            case Whole():
                assert type(value) is int
                assert kind.low <= int(text) == value <= kind.high <= 99
            case Tenths():
                assert type(value) is Decimal
                assert Decimal(text) == value
                assert kind.low < value < kind.high
                assert value != value.to_integral_value()
            case Flag():
                assert text == (kind.on if value else kind.off)


def test_only_closed_words_are_an_enum():
    assert KINDS["unit"].schema == {"type": "string", "enum": ["celsius", "fahrenheit"]}
    assert KINDS["city"].schema == {"type": "string"}


def test_words_of_two_kinds_are_never_the_same_value():
    values = [value for kind in KINDS.values() if isinstance(kind, Words) for value in kind.values]
    assert len(values) == len(set(values))
