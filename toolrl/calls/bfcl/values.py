"""One value against the accepted ones, by BFCL's rules.

What is compared is what `json.loads` would have made: a Decimal counts as its float. Types are exact (true is no
integer), but a value of the type of the first accepted one passes as it is, whatever was declared. Lenient is the text
alone: case, space and `,./-_*^` do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from toolrl.calls.bfcl.declared import Declared
from toolrl.calls.fault import Difference, describe, step
from toolrl.calls.jsontext import MAX_DEPTH
from toolrl.calls.schema import ABSENT
from toolrl.types import Json, Reason

LEFT_OUT = ""
"""Among the accepted values: the argument may be left out."""

_CHANGES = frozenset((Decimal, list, dict))
_PLAIN = str.maketrans("'", '"', " ,./-_*^")


class InWords:
    """Part of an explanation that is said in words and not shown as a value."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


def plain_text(text: str) -> str:
    """Return what of a text counts."""
    return text.translate(_PLAIN).lower()


def as_loaded(value: Json, depth: int = 0) -> Json:
    """Return a value as `json.loads` would have made it. Raises ValueError where it nests too deep to be compared."""
    kind = type(value)
    if kind is Decimal:
        return float(value)
    if kind is not list and kind is not dict:
        return value
    if depth >= MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if kind is list:
        return [as_loaded(item, depth + 1) if type(item) in _CHANGES else item for item in value]
    return {key: as_loaded(item, depth + 1) if type(item) in _CHANGES else item for key, item in value.items()}


def difference(value: Json, answers: Sequence[Json], declared: Declared) -> Difference | None:
    """Return None where `value` is accepted, else the first thing that is wrong with it; both are as loaded."""
    label = _first_type(answers)
    outer = declared.outer or label or str
    kind = type(value)
    if kind is outer:
        if declared.inner is not None and not any(_items_have_type(value, answer, declared.inner) for answer in answers):
            return Difference(Reason.WRONG_TYPE, "", told(answers), value)
    elif label is None or kind is not label:
        return Difference(Reason.WRONG_TYPE, "", told(answers), value)
    if label is None or label is outer:
        if outer is str:
            return None if _same_text(value, answers) else Difference(Reason.WRONG_VALUE, "", told(answers), value)
        if outer is dict:
            return _first_fault(_in_object(value, answer) for answer in answers if answer != LEFT_OUT)
        if outer is list:
            if declared.inner is dict:
                return _first_fault(_in_objects(value, answer) for answer in answers)
            return None if _same_items(value, answers) else Difference(Reason.WRONG_VALUE, "", told(answers), value)
    return None if value in answers else Difference(Reason.WRONG_VALUE, "", told(answers), value)


def told(answers: Sequence[Json]) -> Json:
    """Return the accepted values as an explanation shows them."""
    stated = [answer for answer in answers if answer != LEFT_OUT] or [*answers]
    if len(stated) == 1:
        return stated[0]
    return InWords(f"one of {', '.join(map(describe, stated))}" if stated else "nothing")


def _first_type(answers: Sequence[Json]) -> type | None:
    """Return the type of the first accepted value, or None where there is none but that it may be left out."""
    for answer in answers:
        if answer != LEFT_OUT:
            return type(answer)
    return None


def _items_have_type(value: list[Json], answer: Json, inner: type) -> bool:
    """Whether all items have the declared type or that of the first item of `answer`; one that is no list asks for none."""
    if type(answer) is not list:
        return True
    label = _first_type(answer)
    return all(type(item) is inner or (label is not None and type(item) is label) for item in value)


def _same_text(value: str, answers: Sequence[Json]) -> bool:
    if value in answers:
        return True
    text = plain_text(value)
    return any(type(answer) is str and plain_text(answer) == text for answer in answers)


def _same_items(value: list[Json], answers: Sequence[Json]) -> bool:
    items = _plain_items(value)
    return any(_plain_items(answer) == items for answer in answers if _holds_items(answer))


def _holds_items(answer: Json) -> bool:
    """Whether an accepted value can be read as a list: a text as its characters, and what is empty as no items."""
    return isinstance(answer, list | str) or answer == {}


def _plain_items(items: Sequence[Json]) -> list[Json]:
    """Return items with each text as what of it counts."""
    return [plain_text(item) if type(item) is str else item for item in items]


def _first_fault(found: Iterator[Difference | None]) -> Difference | None:
    """Return None where any is None, else the first; with none at all nothing is accepted."""
    first: Difference | None = None
    for fault in found:
        if fault is None:
            return None
        first = first or fault
    return first or Difference(Reason.WRONG_VALUE, "", InWords("nothing"), ABSENT)


def _in_object(value: dict[str, Json], answer: Json) -> Difference | None:
    """Compare an object with one whose members each list what is accepted of them."""
    if type(answer) is not dict:
        return Difference(Reason.WRONG_VALUE, "", answer, value)
    for key, have in value.items():
        if key not in answer:
            return Difference(Reason.UNEXPECTED_ARGUMENT, step(key), ABSENT, have)
        if not _is_member(have, answer[key]):
            return Difference(Reason.WRONG_VALUE, step(key), _told_member(answer[key]), have)
    for key, options in answer.items():
        if key not in value and not (isinstance(options, list | str | dict) and LEFT_OUT in options):
            return Difference(Reason.MISSING_ARGUMENT, step(key), _told_member(options), ABSENT)
    return None


def _is_member(value: Json, options: Json) -> bool:
    if not isinstance(options, list | str):
        return False
    return (plain_text(value) if type(value) is str else value) in _plain_items(options)


def _told_member(options: Json) -> Json:
    if isinstance(options, str):
        return InWords(f"one character of {describe(options)}")
    return told(options) if isinstance(options, list) else options


def _in_objects(value: list[Json], answer: Json) -> Difference | None:
    """Compare a list of objects with an accepted one, in order."""
    if not _holds_items(answer) or len(answer) != len(value):
        return Difference(Reason.WRONG_VALUE, "", answer, value)
    for index, (have, want) in enumerate(zip(value, answer, strict=True)):
        if type(have) is not dict:
            return Difference(Reason.WRONG_TYPE, f"[{index}]", want, have)
        if (fault := _in_object(have, want)) is not None:
            return fault.under(f"[{index}]")
    return None
