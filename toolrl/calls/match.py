"""Strict equality of calls with a reference, and the explanation of every difference.

Calls are a multiset and keys are free; list order, case, space and punctuation count. Strings are equal after Unicode
NFC. true is not 1. Numbers are compared as int or Decimal, never through float: by value where the schema says number
or integer, elsewhere an integer literal and a fractional one differ. An optional argument left out equals the default
that the schema states, on either side.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal

from toolrl.calls.assign import match_calls
from toolrl.calls.fault import Fault, describe, step
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import Json, Reason, Tool, ToolCall

_KINDS: Mapping[type, str] = {
    str: "string", int: "number", Decimal: "number", float: "number", bool: "boolean", type(None): "null",
    dict: "object", list: "array", tuple: "array",
}  # fmt: skip


def explain(predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> Fault | None:
    """Return None where `predicted` equals `reference`, else the first thing that is wrong with it."""
    if not reference and predicted:
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(predicted[0].name))
    return match_calls(predicted, reference, lambda p, r: call_faults(p, r, arguments_of(tools, r.name)))


def call_faults(predicted: ToolCall, reference: ToolCall, place: Place) -> list[Fault]:
    """Return every way in which one call differs from a reference call; `place` is that of the reference's arguments."""
    faults = []
    if not same_text(predicted.name, reference.name):
        faults.append(Fault(Reason.WRONG_NAME, ".name", describe(reference.name), describe(predicted.name)))
    faults += [fault.under(".arguments") for fault in _object_faults(predicted.arguments, reference.arguments, place)]
    return faults


def value_faults(got: Json, expected: Json, place: Place) -> list[Fault]:
    """Return every way in which the value `got` differs from `expected`, paths beginning at the value."""
    kind = kind_of(expected)
    if kind_of(got) != kind:
        return [Fault(Reason.WRONG_TYPE, "", describe(expected), describe(got))]
    if kind == "object":
        return _object_faults(got, expected, place)
    if kind == "array":
        return _list_faults(got, expected, place)
    if kind == "number":
        return _number_faults(got, expected, place)
    if same_text(got, expected) if kind == "string" else got == expected:
        return []
    return [Fault(Reason.WRONG_VALUE, "", describe(expected), describe(got))]


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
    return a == b or (not (a.isascii() and b.isascii()) and unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b))


def _object_faults(got: Mapping[str, Json], expected: Mapping[str, Json], place: Place) -> list[Fault]:
    faults: list[Fault] = []
    if got.keys() != expected.keys():
        got, expected = _folded(got), _folded(expected)
    for key, want in expected.items():
        have = got.get(key, ABSENT)
        if have is ABSENT:
            if not _is_default(want, key, place):
                faults.append(Fault(Reason.MISSING_ARGUMENT, step(key), expected=describe(want)))
        elif type(have) is not type(want) or have != want or isinstance(want, dict | list):  # equal leaves need no schema
            faults += [fault.under(step(key)) for fault in value_faults(have, want, place.member(key))]
    for key, have in got.items():
        if key not in expected and not _is_default(have, key, place):
            faults.append(Fault(Reason.UNEXPECTED_ARGUMENT, step(key), got=describe(have)))
    return faults


def _is_default(value: Json, key: str, place: Place) -> bool:
    default = place.default(key)
    return default is not ABSENT and not value_faults(value, default, place.member(key))


def _folded(members: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return an object with its keys in NFC, or as it is where two of them would meet."""
    if all(map(str.isascii, members)):
        return members
    folded = {unicodedata.normalize("NFC", key): value for key, value in members.items()}
    return folded if len(folded) == len(members) else members


def _list_faults(got: Sequence[Json], expected: Sequence[Json], place: Place) -> list[Fault]:
    if len(got) != len(expected):
        return [Fault(Reason.WRONG_VALUE, "", describe(expected), describe(got))]
    return [
        fault.under(f"[{index}]")
        for index, (have, want) in enumerate(zip(got, expected, strict=True))
        for fault in value_faults(have, want, place.item(index))
    ]


def _number_faults(got: int | Decimal | float, expected: int | Decimal | float, place: Place) -> list[Fault]:
    if _exact(got) != _exact(expected):
        return [Fault(Reason.WRONG_VALUE, "", describe(expected), describe(got))]
    if isinstance(got, int) != isinstance(expected, int) and not place.is_number:
        return [Fault(Reason.WRONG_TYPE, "", describe(expected), describe(got))]
    return []


def _exact(number: int | Decimal | float) -> int | Decimal:
    """Return a number for exact comparison; a float stands for the shortest literal that reads as it."""
    return Decimal(repr(number)) if isinstance(number, float) else number
