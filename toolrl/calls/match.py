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

from toolrl.calls.assign import all_fit, match_calls
from toolrl.calls.fault import Difference, Fault, describe, step
from toolrl.calls.latest import kept
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import Json, Reason, Tool, ToolCall

_KINDS: Mapping[type, str] = {
    str: "string", int: "number", Decimal: "number", float: "number", bool: "boolean", type(None): "null",
    dict: "object", list: "array", tuple: "array",
}  # fmt: skip
_LEAVES = frozenset((str, int, Decimal, float, bool, type(None)))
_STACKED = re.compile(r"[^\w\s\x00-\x7f]{31}")  # 31 in a row of what marks are: UAX #15 allows 30 (Stream-Safe Text Format)


def explain(predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> Fault | None:
    """Return None where `predicted` equals `reference`, else the first thing that is wrong with it."""
    if not reference and predicted:
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(predicted[0].name))
    return match_calls(predicted, targets_of(reference, tools), lambda call, target: call_differences(call, *target))


def equal(predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> bool:
    """Whether `explain` would return None; quicker where it would not, as nothing is explained."""
    return all_fit(predicted, targets_of(reference, tools), lambda call, target: next(call_differences(call, *target), None) is None)


@kept
def targets_of(reference: Sequence[ToolCall], tools: Sequence[Tool]) -> list[tuple[ToolCall, Place]]:
    """Return each reference call with the place of its arguments."""
    return [(call, arguments_of(tools, call.name)) for call in reference]


def call_differences(predicted: ToolCall, reference: ToolCall, place: Place) -> Iterator[Difference]:
    """Yield the ways in which one call differs from a reference call; `place` is that of the reference's arguments."""
    if not same_text(predicted.name, reference.name):
        yield Difference(Reason.WRONG_NAME, ".name", reference.name, predicted.name)
    if not _same(predicted.arguments, reference.arguments):
        yield from _in_objects(predicted.arguments, reference.arguments, place, ".arguments")


def differences(got: Json, expected: Json, place: Place, path: str = "") -> Iterator[Difference]:
    """Yield the ways in which the value `got`, to which `path` leads, differs from `expected`."""
    kind = kind_of(expected)
    if kind_of(got) != kind:
        yield Difference(Reason.WRONG_TYPE, path, expected, got, place)
    elif kind == "object":
        yield from _in_objects(got, expected, place, path)
    elif kind == "array":
        yield from _in_lists(got, expected, place, path)
    elif kind == "number":
        yield from _in_numbers(got, expected, place, path)
    elif not (same_text(got, expected) if kind == "string" else got == expected):
        yield Difference(Reason.WRONG_VALUE, path, expected, got, place)


def is_default(value: Json, place: Place) -> bool:
    """Whether an argument may be left out instead of being given as `value`."""
    default = place.own_default
    return default is not ABSENT and next(differences(value, default, place), None) is None


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
    return a == b or (not (a.isascii() and b.isascii()) and nfc(a) == nfc(b))


def nfc(text: str) -> str:
    """Return `text` in NFC; as it is where it stacks marks beyond the Stream-Safe limit, which takes quadratic time."""
    return text if _STACKED.search(text) else unicodedata.normalize("NFC", text)


def _same(got: Json, expected: Json) -> bool:
    """Whether two values are equal under any schema, so that nothing else needs to be looked at."""
    return type(got) is type(expected) and got == expected and _identical(got, expected)  # `==` is quick, and takes true for 1


def _identical(got: Json, expected: Json) -> bool:
    """Whether two values that compare equal are of the same types throughout."""
    kind = type(got)
    if kind is not type(expected):
        return False
    if kind is dict:
        return all(_identical(value, expected[key]) for key, value in got.items())
    return all(map(_identical, got, expected)) if kind is list else kind in _LEAVES


def _in_objects(got: Mapping[str, Json], expected: Mapping[str, Json], place: Place, path: str) -> Iterator[Difference]:
    if got.keys() != expected.keys():
        got, expected = _folded(got), _folded(expected)
    for key, want in expected.items():
        have = got.get(key, ABSENT)
        if have is ABSENT:
            if not is_default(want, member := place.member(key)):
                yield Difference(Reason.MISSING_ARGUMENT, path + step(key), want, ABSENT, member)
        elif not _same(have, want):
            yield from differences(have, want, place.member(key), path + step(key))
    for key, have in got.items():
        if key not in expected and not is_default(have, member := place.member(key)):
            yield Difference(Reason.UNEXPECTED_ARGUMENT, path + step(key), ABSENT, have, member)


def _folded(members: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return an object with its keys in NFC, or as it is where two of them would meet."""
    if all(map(str.isascii, members)):
        return members
    folded = {nfc(key): value for key, value in members.items()}
    return folded if len(folded) == len(members) else members


def _in_lists(got: Sequence[Json], expected: Sequence[Json], place: Place, path: str) -> Iterator[Difference]:
    if len(got) != len(expected):
        yield Difference(Reason.WRONG_VALUE, path, expected, got, place)
        return
    for index, (have, want) in enumerate(zip(got, expected, strict=True)):
        if not _same(have, want):
            yield from differences(have, want, place.item(index), f"{path}[{index}]")


def _in_numbers(got: int | Decimal | float, expected: int | Decimal | float, place: Place, path: str) -> Iterator[Difference]:
    if _exact(got) != _exact(expected):
        yield Difference(Reason.WRONG_VALUE, path, expected, got, place)
    elif isinstance(got, int) != isinstance(expected, int) and not place.is_number:
        yield Difference(Reason.WRONG_TYPE, path, expected, got, place)


def _exact(number: int | Decimal | float) -> int | Decimal:
    """Return a number for exact comparison; a float stands for the shortest literal that reads as it."""
    return Decimal(repr(number)) if isinstance(number, float) else number
