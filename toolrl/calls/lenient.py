"""The calls of a text whatever its form, so that form and content can be reported apart. Never used for the reward.

Found are calls without reasoning or tags, in code fences or prose, in several blocks, as bare or repeated objects, in
OpenAI's envelope, encoded twice, with `parameters` or `args` for `arguments`. Values in quotes count as what the schema
asks for. Still total and within the caps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from toolrl.calls.assign import all_fit
from toolrl.calls.fault import Difference
from toolrl.calls.jsontext import LOOSE, MAX_CHARS, JsonError, decode, scan
from toolrl.calls.match import call_differences, differences, explain, is_default, kind_of, targets_of
from toolrl.calls.parse import CALL, END_THINK, MAX_CALLS
from toolrl.calls.schema import ABSENT, Place
from toolrl.types import Json, Tool, ToolCall

MAX_VALUES = 256
"""Places of one text at which a value is looked for."""
MAX_VAIN_CHARS = MAX_CHARS
"""Characters that the looks which find no value have before them, all together: each look is linear, so this keeps hostile text linear."""

_VALUE = re.compile(r'[\[{"]')
_NAMES = ("name", "function", "tool", "tool_name")
_ARGUMENTS = ("arguments", "parameters", "args")
_KINDS_OF_TYPE = {"integer": "number", "number": "number", "boolean": "boolean", "array": "array", "object": "object", "null": "null"}
_NO_TEXT = frozenset((int, float, Decimal, bool, type(None), type(ABSENT)))
_NOT_TEXT = re.compile(r"[ \t\n\r]*[\[{\-0-9tfnTF]")
"""How a text begins that may encode anything but a text."""


def content_right(calls: Sequence[ToolCall] | None, reference: Sequence[ToolCall], tools: Sequence[Tool]) -> bool:
    """Whether `calls` are the reference, values in quotes read as what the schema asks for; None never is."""
    if calls is None:
        return False
    return all_fit(calls, targets_of(reference, tools), _fits)


def quotes_matter(calls: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> bool:
    """Whether calls that are not the reference are right once values in quotes are read as what the schema asks for."""
    return content_right(calls, reference, tools) and explain(calls, reference, tools) is not None


def find_calls(text: str) -> tuple[ToolCall, ...] | None:
    """Return the calls found in `text`, none where it makes none; None where it says nothing, or is beyond the caps or understanding."""
    if len(text) > MAX_CHARS or not text.strip():
        return None
    answer = text.rpartition(END_THINK)[2]
    calls, empty = _search(answer)
    if not calls and not empty:
        if CALL in answer:
            return None
        calls, _ = _search(text)  # a call inside the reasoning counts where none is tried after it
    return calls if len(calls) <= MAX_CALLS else None


def _search(text: str) -> tuple[tuple[ToolCall, ...], bool]:
    """Return the calls of every readable value of `text`, and whether one of them was an empty list."""
    calls: list[ToolCall] = []
    empty, position, vain_chars = False, max(text.find(CALL), 0), 0
    for _ in range(MAX_VALUES):
        if vain_chars > MAX_VAIN_CHARS or (start := _VALUE.search(text, position)) is None:
            break
        try:
            value, position = scan(text, start.start(), LOOSE)
        except JsonError:
            position = start.end()
            vain_chars += len(text) - position
            continue
        found = _calls_of(value, 2)
        calls += found or ()
        empty = empty or found == []
    return tuple(calls), empty


def _calls_of(value: Json, encodings: int) -> list[ToolCall] | None:
    """Return the calls a value stands for, or None where it is no call; `encodings` layers of JSON text may be opened."""
    if isinstance(value, str):
        inner = _opened(value)
        return None if inner is None or not encodings else _calls_of(inner, encodings - 1)
    if isinstance(value, list):
        parts = [_calls_of(item, encodings) for item in value]
        return None if None in parts else [call for part in parts for call in part or ()]
    if not isinstance(value, dict):
        return None
    if isinstance(inner := value.get("tool_calls", value.get("function")), list | dict):
        return _calls_of(inner, encodings)
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    arguments: Json = next((value[key] for key in _ARGUMENTS if key in value), {} if len(value) == 1 else None)
    arguments = _opened(arguments) if isinstance(arguments, str) else arguments
    return [ToolCall(name, arguments)] if name is not None and isinstance(arguments, dict) else None


def _opened(text: str) -> Json:
    """Return the list or object that a text encodes, or None."""
    if text.lstrip()[:1] not in ("[", "{", '"'):
        return None
    try:
        return decode(text, LOOSE)
    except JsonError:
        return None


def _fits(predicted: ToolCall, target: tuple[ToolCall, Place]) -> bool:
    return all(map(_vanishes, call_differences(predicted, *target)))


def _vanishes(difference: Difference) -> bool:
    """Whether two values that differ do not once both are read as what the schema asks for."""
    place, expected, got = difference.place, difference.expected, difference.got
    if place is None or (_settled_throughout(expected) and _settled_throughout(got)):
        return False
    if got is ABSENT or expected is ABSENT:
        return is_default(_as_asked(expected if got is ABSENT else got, place), place)
    return next(differences(_as_asked(got, place), _as_asked(expected, place), place), None) is None


def _as_asked(value: Json, place: Place) -> Json:
    """Return a value with its texts replaced by the numbers, truth values, lists and objects that the schema asks for."""
    if _is_settled(value):
        return value
    if isinstance(value, str):
        return _read_as_asked(value, place)
    if kind_of(value) == "object":
        return {key: item if _is_settled(item) else _as_asked(item, place.member(key)) for key, item in value.items()}
    return [item if _is_settled(item) else _as_asked(item, place.item(index)) for index, item in enumerate(value)]


def _settled_throughout(value: Json) -> bool:
    if type(value) is dict:
        return all(map(_settled_throughout, value.values()))
    return all(map(_settled_throughout, value)) if type(value) is list else _is_settled(value)


def _is_settled(value: Json) -> bool:
    """Whether a value holds no text that may encode anything but a text."""
    return type(value) in _NO_TEXT or (type(value) is str and _NOT_TEXT.match(value) is None)


def _read_as_asked(text: str, place: Place) -> Json:
    """Return what a text encodes where that is of a kind the schema asks for and text is not, else the text."""
    types = place.types
    if not types or not types <= _KINDS_OF_TYPE.keys():
        return text
    try:
        inner = decode(text.lower() if text in ("True", "False") else text, LOOSE)
    except JsonError:
        return text
    return inner if kind_of(inner) in {_KINDS_OF_TYPE[word] for word in types} else text
