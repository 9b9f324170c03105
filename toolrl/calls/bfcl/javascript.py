"""JavaScript literals in text -> the values they stand for, as BFCL reads them.

"'abc'" as String ─> "abc"       "12n" as Bigint ─> 12       "[1, 'two', true]" as array ─> [1, "two", True]
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from toolrl.calls.bfcl.literals import is_quoted, number_or_text, require_readable, runs, skip_space
from toolrl.types import Json

TYPES: Final[Mapping[str, type]] = {
    "String": str, "integer": int, "float": float, "Bigint": int, "Boolean": bool, "dict": dict, "array": list, "any": str,
}  # fmt: skip
"""Type words that are read, and the Python type of their values; BFCL's checker fails on others."""
LISTS: Final = frozenset({"array"})

_INTEGER = re.compile(r"-?\d+$")
_FLOAT = re.compile(r"-?\d+(?:\.\d+)?$")
_BIGINT = re.compile(r"-?\d+n$")
_OPENING = re.compile(r"\[")
_NEW_ARRAY = re.compile(r"new\s+Array\(")
_TABLE = re.compile(r"(\[|new\s+Array\()\s*\[")


def read_javascript(text: str, word: str, items: str | None = None) -> Json:
    """Return what `text` stands for as a value of the type `word`, one of TYPES, or a text where it is no literal of it.

    `items` is the type of an array's items; without it each is read as what it looks like. Raises ValueError where
    BFCL's checker would fail, or the text is too long.
    """
    if word in _READERS:
        return _READERS[word](text)
    require_readable(text)
    text = text.strip()
    if word == "dict":
        return _object(text)
    try:
        return _array(text, items)
    except ValueError:
        return text


def _string(text: str) -> Json:
    return text[1:-1] if is_quoted(text, '"') or is_quoted(text, "'") else text


def _integer(text: str) -> Json:
    return int(text) if _INTEGER.match(text) else text


def _float(text: str) -> Json:
    return float(text) if _FLOAT.match(text) else text


def _bigint(text: str) -> Json:
    return int(text[:-1]) if _BIGINT.match(text) else text


def _boolean(text: str) -> Json:
    return text == "true" if text in ("true", "false") else text


_READERS: Mapping[str, Callable[[str], Json]] = {
    "String": _string, "integer": _integer, "float": _float, "Bigint": _bigint, "Boolean": _boolean, "any": str,
}  # fmt: skip


def _value(text: str) -> Json:
    """Return what a text looks like: a boolean, a string in quotes, a number, or else itself."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    return number_or_text(text) if (bare := _string(text)) == text else bare


def _array(text: str, items: str | None) -> Json:
    """Read `[1, 2]`, `new Array(1, 2)` or a table of rows, `[[1, 2], [3]]`, whose items are read as what they look like."""
    if (end := _end_of_table(text)) is not None:
        rows = [row.strip() for row in runs(text[:end], _OPENING, "]")]
        rows[0] = rows[0].removeprefix("[")  # the first row begins with the bracket of the table
        return [[_value(part) for part in row.split(",")] for row in rows]
    content = _content(text)
    if content is None:
        return text
    parts = [part.strip() for part in content.split(",")] if (content := content.strip()) else []
    return [_value(part) if items is None else read_javascript(part, items) for part in parts]


def _content(text: str) -> str | None:
    """Return what stands between the brackets of an array that `text` begins with, up to the first that closes."""
    start, closing = (1, "]") if text.startswith("[") else (0, ")")
    if not start:
        found = _NEW_ARRAY.match(text)
        start = found.end() if found else 0
    end = text.find(closing, start) if start else -1
    return None if end < 0 or "\n" in text[start:end] else text[start:end]


def _end_of_table(text: str) -> int | None:
    """Return where the table of rows that `text` begins with ends, or None where there is none.

    A row may hold brackets of its own: it ends at the first one from which on the table can be read to its end. So the brackets are
    judged from the last to the first.
    """
    opening = _TABLE.match(text)
    if opening is None:
        return None
    closing = "]" if text.startswith("[") else ")"
    brackets = [found.start() for found in re.finditer(r"\]", text)]
    ends: dict[int, int] = {}  # index of a bracket -> where a table ends whose row ends there
    nearest = [len(brackets)] * (len(brackets) + 1)  # index of a bracket -> the first from there on that is in `ends`

    def end_of_row(start: int) -> int | None:
        index = nearest[bisect_left(brackets, start)]
        return ends[index] if index in ends and text.find("\n", start, brackets[index]) < 0 else None

    for index in range(len(brackets) - 1, -1, -1):
        after = skip_space(text, brackets[index] + 1)
        end: int | None = None
        if text.startswith(closing, after):
            end = after + 1
        elif text.startswith(",", after) and text.startswith("[", row := skip_space(text, after + 1)):
            end = end_of_row(row + 1)
        if end is not None:
            ends[index] = end
        nearest[index] = index if end is not None else nearest[index + 1]
    return end_of_row(opening.end())


def _object(text: str) -> Json:
    """Read `{key: value, 'other': [1, 2]}`, of which no value can be an object."""
    if text == "{}":
        return {}
    end = text.find("}")
    if not text.startswith("{") or end < 0 or "\n" in text[:end]:
        return text
    return {key.strip().strip("'\""): _member(value.strip()) for key, value in _members(text[1:end])}


def _member(text: str) -> Json:
    if text.startswith("[") and text.endswith("]"):
        return read_javascript(text, "array")
    return _value(text.strip("'\""))


def _members(content: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of each member, as they are written."""
    start = 0
    while (colon := content.find(":", start)) >= 0:
        if colon == start:  # no key
            start += 1
            continue
        value = skip_space(content, colon + 1)
        end, following = _end_of_member(content, value)
        yield content[start:colon], content[value:end]
        start = following


def _end_of_member(content: str, start: int) -> tuple[int, int]:
    """Return where the value at `start` ends and where the next member begins: a comma ends it if a key and a colon follow."""
    comma = content.find(",", start)
    while comma >= 0:
        key = skip_space(content, comma + 1)
        other = content.find(",", comma + 1)
        last = other if other >= 0 else len(content)
        if content.rfind(":", key + 1, last) >= 0:
            return comma, key
        if key > comma + 1 and content.startswith(":", key):
            return comma, key - 1
        comma = other
    return len(content), len(content)
