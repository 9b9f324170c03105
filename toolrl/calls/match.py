"""Strict equality of calls with a reference, and the explanation of every difference.

Calls are a multiset and keys are free; list order, case, space and punctuation count. Strings are equal after Unicode
NFC. true is not 1. Numbers are compared as int or Decimal, never through float: by value where the schema says number
or integer, elsewhere an integer literal and a fractional one differ. An optional argument left out equals the default
that the schema states, on either side.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from toolrl.calls.assign import match_calls
from toolrl.calls.fault import Difference, Fault, describe, step
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import Json, Reason, Tool, ToolCall

_KINDS: Mapping[type, str] = {
    str: "string", int: "number", Decimal: "number", float: "number", bool: "boolean", type(None): "null",
    dict: "object", list: "array", tuple: "array",
}  # fmt: skip
_NESTED = frozenset((dict, list, tuple))
_STACKED = re.compile(r"[^\w\s\x00-\x7f]{31}")  # 31 in a row of what marks are: UAX #15 allows 30 (Stream-Safe Text Format)


def explain(predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> Fault | None:
    """Return None where `predicted` equals `reference`, else the first thing that is wrong with it."""
    if not reference and predicted:
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(predicted[0].name))
    targets = [(call, arguments_of(tools, call.name)) for call in reference]
    return match_calls(predicted, targets, lambda call, target: call_differences(call, *target))


def call_differences(predicted: ToolCall, reference: ToolCall, place: Place) -> Iterator[Difference]:
    """Yield the ways in which one call differs from a reference call; `place` is that of the reference's arguments."""
    if not same_text(predicted.name, reference.name):
        yield Difference(Reason.WRONG_NAME, ".name", reference.name, predicted.name)
    for inner in _in_objects(predicted.arguments, reference.arguments, place):
        yield inner.under(".arguments")


def differences(got: Json, expected: Json, place: Place) -> Iterator[Difference]:
    """Yield the ways in which the value `got` differs from `expected`, paths beginning at the value."""
    kind = kind_of(expected)
    if kind_of(got) != kind:
        yield Difference(Reason.WRONG_TYPE, "", expected, got)
    elif kind == "object":
        yield from _in_objects(got, expected, place)
    elif kind == "array":
        yield from _in_lists(got, expected, place)
    elif kind == "number":
        yield from _in_numbers(got, expected, place)
    elif not (same_text(got, expected) if kind == "string" else got == expected):
        yield Difference(Reason.WRONG_VALUE, "", expected, got)


def kind_of(value: Json) -> str:
    """Return the JSON kind of a value: string, number, boolean, null, object or array. Raises TypeError for others."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, Mapping):
        return "object"
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def same_text(a: str, b: str) -> bool:
    """Whether two strings are equal after Unicode NFC."""
    return a == b or (not (a.isascii() and b.isascii()) and _nfc(a) == _nfc(b))


def _nfc(text: str) -> str:
    """Return `text` in NFC; as it is where it stacks marks beyond the Stream-Safe limit, which takes quadratic time."""
    return text if _STACKED.search(text) else unicodedata.normalize("NFC", text)


def _in_objects(got: Mapping[str, Json], expected: Mapping[str, Json], place: Place) -> Iterator[Difference]:
    if got.keys() != expected.keys():
        got, expected = _folded(got), _folded(expected)
    for key, want in expected.items():
        have = got.get(key, ABSENT)
        if have is ABSENT:
            if not _is_default(want, key, place):
                yield Difference(Reason.MISSING_ARGUMENT, step(key), want, ABSENT)
        elif type(have) is not type(want) or type(have) in _NESTED or have != want:  # equal leaves need no schema
            for inner in differences(have, want, place.member(key)):
                yield inner.under(step(key))
    for key, have in got.items():
        if key not in expected and not _is_default(have, key, place):
            yield Difference(Reason.UNEXPECTED_ARGUMENT, step(key), ABSENT, have)


def _is_default(value: Json, key: str, place: Place) -> bool:
    default = place.default(key)
    return default is not ABSENT and next(differences(value, default, place.member(key)), None) is None


def _folded(members: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return an object with its keys in NFC, or as it is where two of them would meet."""
    if all(map(str.isascii, members)):
        return members
    folded = {_nfc(key): value for key, value in members.items()}
    return folded if len(folded) == len(members) else members


def _in_lists(got: Sequence[Json], expected: Sequence[Json], place: Place) -> Iterator[Difference]:
    if len(got) != len(expected):
        yield Difference(Reason.WRONG_VALUE, "", expected, got)
        return
    for index, (have, want) in enumerate(zip(got, expected, strict=True)):
        for inner in differences(have, want, place.item(index)):
            yield inner.under(f"[{index}]")


def _in_numbers(got: int | Decimal | float, expected: int | Decimal | float, place: Place) -> Iterator[Difference]:
    if _exact(got) != _exact(expected):
        yield Difference(Reason.WRONG_VALUE, "", expected, got)
    elif isinstance(got, int) != isinstance(expected, int) and not place.is_number:
        yield Difference(Reason.WRONG_TYPE, "", expected, got)


def _exact(number: int | Decimal | float) -> int | Decimal:
    """Return a number for exact comparison; a float stands for the shortest literal that reads as it."""
    return Decimal(repr(number)) if isinstance(number, float) else number
