"""The one thing a value can mean that breaks its schema, if there is one.

| kind | from | to | where |
|---|---|---|---|
| quoted_number | `"3"`, `"3.50"` | `3`, `3.50` digit by digit | the schema says number or integer, the text is a JSON number |
| quoted_boolean | `"true"`, `"True"` | `true` | the schema says boolean |
| quoted_json | `"[1, 2]"`, `"{'a': 1}"` | `[1, 2]`, `{"a": 1}` | the schema says array or object, and the text is one in JSON or Python |
| integral_fraction | `3.0` | `3` | the schema says integer, and not number |
| choice_spelling | `"celsius "` | `"Celsius"` | exactly one choice of the enum differs in nothing but case and space |
| number_as_text | `500` | `"500"` | the schema says string, and the conversation holds these very digits as a word of their own |
| null_left_out | `null` | left out | the argument, or the member of an object, is optional and may not be null |
| default_left_out | `"dontcare"` | left out | it is the stated default of an optional argument, and does not fit its schema either |

All else has no certain reading: `"3 km"`, `""`, `"0x3"`, `"１"` for a number; `1` for true; a number for a string that nobody said, since
1 may stand for "1", "1.0" or "01".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from toolrl.calls.schema import ABSENT, Place
from toolrl.data.formats.literals import read_literal
from toolrl.data.jsontext import dumps, loads
from toolrl.data.labels import Breach
from toolrl.errors import DataError
from toolrl.types import Json, Message

QUOTED_NUMBER, QUOTED_BOOLEAN, QUOTED_JSON = "quoted_number", "quoted_boolean", "quoted_json"
INTEGRAL_FRACTION, CHOICE_SPELLING = "integral_fraction", "choice_spelling"
NUMBER_AS_TEXT, NULL_LEFT_OUT, DEFAULT_LEFT_OUT = "number_as_text", "null_left_out", "default_left_out"
KINDS: Final = (
    QUOTED_NUMBER, QUOTED_BOOLEAN, QUOTED_JSON, INTEGRAL_FRACTION, CHOICE_SPELLING, NUMBER_AS_TEXT, NULL_LEFT_OUT, DEFAULT_LEFT_OUT
)  # fmt: skip

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NESTED = {"array": list, "object": dict}
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


class Fix(NamedTuple):
    """What a value means."""

    kind: str
    value: Json
    """ABSENT: leave it out."""


def reading(breach: Breach, root: Place, messages: Sequence[Message]) -> Fix | None:
    """Return what the value at a breach certainly means, or None."""
    holder = _holder(breach.path, root)
    if breach.got is None:
        return Fix(NULL_LEFT_OUT, ABSENT) if breach.types and _optional(breach.path, holder) else None
    found = [fix for word in breach.types if (fix := _as_type(breach.got, word, messages))] or _as_choice(breach.got, breach.choices)
    if len({repr(fix) for fix in found}) == 1:
        return found[0]
    return Fix(DEFAULT_LEFT_OUT, ABSENT) if _optional(breach.path, holder) and is_default(breach.got, holder, breach.path[-1]) else None


def _as_type(value: Json, word: str, messages: Sequence[Message]) -> Fix | None:
    if isinstance(value, str):
        return _unquoted(value, word)
    if word == "string" and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Fix(NUMBER_AS_TEXT, dumps(value)) if _said(dumps(value), messages) else None
    return None


def _unquoted(text: str, word: str) -> Fix | None:
    if word == "boolean":
        return Fix(QUOTED_BOOLEAN, _BOOLEANS[text]) if text in _BOOLEANS else None
    if word in ("number", "integer"):
        return _number(text, word)
    if word in _NESTED:
        value = _nested(text)
        return Fix(QUOTED_JSON, value) if isinstance(value, _NESTED[word]) else None
    return None


def _number(text: str, word: str) -> Fix | None:
    try:
        value = loads(text) if _NUMBER.fullmatch(text) else None
    except ValueError:  # beyond the caps
        return None
    if value is None or (word == "integer" and value != int(value)):
        return None
    return Fix(QUOTED_NUMBER, int(value) if word == "integer" else value)


def _nested(text: str) -> Json:
    """Return the list or object that a text is, written as JSON or as Python; None where it is neither."""
    if not text.startswith(("[", "{")):
        return None
    try:
        return loads(text)
    except ValueError:
        return _python_value(text)


def _python_value(text: str) -> Json:
    """Return what a text is as a Python literal, or None."""
    try:
        value, end = read_literal(text)
    except DataError:
        return None
    return value if end == len(text) else None


def _as_choice(value: Json, choices: Sequence[Json]) -> list[Fix]:
    if not isinstance(value, str):
        return []
    return [Fix(CHOICE_SPELLING, choice) for choice in choices if isinstance(choice, str) and _plain(choice) == _plain(value)]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _said(number: str, messages: Sequence[Message]) -> bool:
    """Whether the conversation holds the number as a word of its own: 500 is in "$500.", and not in "1,500", "500.25" or "A-500"."""
    word = re.compile(rf"(?<![\w.,+-]){re.escape(number)}(?!\w|[.,:/-]\w)")
    return any(word.search(message.content) for message in messages if message.role != "system")


def _holder(path: tuple[str | int, ...], root: Place) -> Place:
    """Return the place of the object or list whose member `path` leads to."""
    holder = root
    for part in path[:-1]:
        holder = holder.member(part) if isinstance(part, str) else holder.item(part)
    return holder


def is_default(value: Json, holder: Place, key: str | int) -> bool:
    """Whether the schema states this very value as the default of a member."""
    default = holder.default(key) if isinstance(key, str) else ABSENT
    return default is not ABSENT and dumps(default) == dumps(value)


def _optional(path: tuple[str | int, ...], holder: Place) -> bool:
    """Whether `path` leads to a member of the object `holder` that the schema does not require."""
    required = [name for view in holder.views if isinstance(names := view.get("required"), list) for name in names]
    return bool(path) and isinstance(path[-1], str) and path[-1] not in required
