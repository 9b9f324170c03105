"""Java literals in text -> the values they stand for, as BFCL reads them.

"250L" as long ─> 250            "250" as long ─> "250": no long, so it stays text
'new ArrayList<Integer>(Arrays.asList(1, 2))' as ArrayList of integer ─> [1, 2]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from toolrl.calls.bfcl.literals import is_quoted, number_or_text, require_readable, runs, skip_space
from toolrl.types import Json

TYPES: Final[Mapping[str, type]] = {
    "byte": int, "short": int, "integer": int, "long": int, "float": float, "double": float, "boolean": bool,
    "char": str, "String": str, "any": str, "Array": list, "ArrayList": list, "HashMap": dict,
}  # fmt: skip
"""Type words that are read, and the Python type of their values; BFCL's checker fails on others."""
LISTS: Final = frozenset({"Array", "ArrayList"})

_INTEGER = re.compile(r"-?\d+$")
_LONG = re.compile(r"-?\d+[lL]$")
_FRACTION = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_FLOAT = re.compile(_FRACTION + r"[fF]$")
_DOUBLE = re.compile(_FRACTION + r"$")

_AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\(")
_ADDING = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{")
_ADD = re.compile(r"add\(")
_EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{")
_MAP = re.compile(r"new\s+HashMap<")
_MAP_BODY = re.compile(r">\s*\(\)\s*\{")
_EMPTY_MAP = re.compile(r">\s*\(\)")
_PUT = 'put("'
_AFTER_KEY = '",'


def read_java(text: str, word: str, items: str | None = None) -> Json:
    """Return what `text` stands for as a value of the type `word`, one of TYPES, or a text where it is no literal of it.

    `items` is the type of a list's items; without it each is read as what it looks like. Raises ValueError where BFCL's
    checker would fail, or the text is too long.
    """
    if word in _READERS:
        return _READERS[word](text)
    require_readable(text)
    if word == "HashMap":
        return _map(text)
    return _array_list(text, items) if word == "ArrayList" else _array(text, items)


def _integer(text: str) -> Json:
    return int(text) if _INTEGER.match(text) else text


def _long(text: str) -> Json:
    return int(text.rstrip("\n")[:-1]) if _LONG.match(text) else text


def _float(text: str) -> Json:
    return float(text.rstrip("\n")[:-1]) if _FLOAT.match(text) else text


def _double(text: str) -> Json:
    return float(text) if _DOUBLE.match(text) else text


def _boolean(text: str) -> Json:
    return text == "true" if text in ("true", "false") else text


_READERS: Mapping[str, Callable[[str], Json]] = {
    "byte": _integer, "short": _integer, "integer": _integer, "long": _long, "float": _float, "double": _double,
    "boolean": _boolean, "char": str, "String": str, "any": str,
}  # fmt: skip


def _value(text: str) -> Json:
    """Return what a text looks like: a boolean, a string in quotes, a number, or else itself."""
    if text in ("true", "false"):
        return text == "true"
    if is_quoted(text, '"'):
        return text[1:-1]
    if _LONG.match(text):
        return _long(text)
    return _float(text) if _FLOAT.match(text) else number_or_text(text)


def _item(text: str, items: str | None) -> Json:
    return _value(text) if items is None else read_java(text, items)


def _array(text: str, items: str | None) -> Json:
    """Read `new int[]{1, 2}`; strings keep their quotes."""
    for content in runs(text, _ARRAY, "}"):
        return [_item(part.strip(), items) for part in content.split(",") if part.strip()]
    return text


def _array_list(text: str, items: str | None) -> Json:
    """Read `new ArrayList<>(Arrays.asList(…))`, `new ArrayList<>() {{ add(…); }}` or `new ArrayList<>()`."""
    for content in runs(text, _AS_LIST, "))", least=1):
        return [_list_item(part.strip(), items) for part in content.split(",")]
    if (adding := _ADDING.search(text)) is not None:
        start = skip_space(text, adding.end())
        body = text[start : max(text.find("}}", start + 1), start)]
        return [_list_item(part.strip(), items) for part in runs(body, _ADD, ")", least=1)]
    return [] if _EMPTY_LIST.search(text) else text


def _list_item(text: str, items: str | None) -> Json:
    return text[1:-1] if items in ("char", "String") else _item(text, items)


def _map(text: str) -> Json:
    """Read `new HashMap<>() {{ put("key", value); }}` or `new HashMap<>()`."""
    if (start := _MAP.search(text)) is None:
        return text
    body = _MAP_BODY.search(text, start.end())
    if body is not None and (end := text.find("}", body.end())) >= 0:
        return {key: _value(value.strip()) for key, value in _puts(text[body.end() : end])}
    return {} if _has_empty_map(text) else text


def _has_empty_map(text: str) -> bool:
    """Whether `new HashMap<…>()` stands in a text, its types on one line."""
    for start in _MAP.finditer(text):
        empty = _EMPTY_MAP.search(text, start.end())
        if empty is None:
            return False
        if text.find("\n", start.end(), empty.start()) < 0:
            return True
    return False


def _puts(body: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of each `put("key", value)`; neither crosses a line, the space between them may."""
    start = body.find(_PUT)
    while start >= 0:
        key = start + len(_PUT)
        found = _value_of_put(body, key)
        if found is None:
            start = body.find(_PUT, start + 1)
            continue
        after_key, value, end = found
        yield body[key:after_key], body[value:end]
        start = body.find(_PUT, end + 1)


def _value_of_put(body: str, key: int) -> tuple[int, int, int] | None:
    """Return where the key that begins at `key` ends, and where its value begins and ends.

    The key ends at the first `",` of its line after which a value stands on one line. Where that is not so for the first, it can only
    be so for the last, where the line breaks before the value.
    """
    line_end = body.find("\n", key)
    line_end = line_end if line_end >= 0 else len(body)
    for find in (str.find, str.rfind):
        after_key = find(body, _AFTER_KEY, key, line_end)
        if after_key < 0:
            return None
        value = skip_space(body, after_key + len(_AFTER_KEY))
        end = body.find(")", value)
        if end >= 0 and body.find("\n", value, end) < 0:
            return after_key, value, end
    return None
