"""JSON text in and out, exactly: whole numbers stay int, all others are Decimal and never pass through float.

    text ─ loads ─> value ─ dumps ─> text with the same numbers, digit by digit

What JSON does not have (NaN, a key given twice, half a surrogate pair) is an error here and cannot reach a label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import NoReturn

from toolrl.types import Json

MAX_DEPTH = 100
"""Of nested lists and objects: far beyond any real row, far below Python's own limit."""


def loads(text: str) -> Json:
    """Return the value of a JSON text. Raises ValueError with what is wrong with it."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    return checked(value, text)


def checked(value: Json, text: str) -> Json:
    """Return a value parsed from `text` if it can be written again. Raises ValueError."""
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if "\\u" in text:  # only an escape can hold half a pair: the text itself was decoded from UTF-8
        try:
            dumps(value).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"half of a surrogate pair ({error.object[error.start]!r}) is no character") from None
    return value


def dumps(value: Json, *, sort_keys: bool = False) -> str:
    """Return the JSON text of a value: one line, `, ` and `: ` between, characters as they are, Decimals digit by digit."""
    try:
        return (_SORTED if sort_keys else _PLAIN).encode(value)
    except TypeError:  # a Decimal somewhere: json would need it as a float, so spell the value out, ten times slower
        return _spelled(value, sort_keys)


def decoder() -> json.JSONDecoder:
    """Return the decoder behind `loads`, for JSON values inside other text."""
    return json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object)


_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} occurs twice in one object")
    return value


def _depth(value: Json, limit: int) -> int:
    """Return how deep a value is nested, at most limit + 1."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return 0
    return 1 if limit == 0 else 1 + max((_depth(item, limit - 1) for item in inner), default=0)


def _spelled(value: Json, sort_keys: bool) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not JSON")
        return str(value)
    if isinstance(value, Mapping):
        items = sorted(value.items()) if sort_keys else value.items()
        return "{" + ", ".join(f"{_PLAIN.encode(key)}: {_spelled(item, sort_keys)}" for key, item in items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_spelled(item, sort_keys) for item in value) + "]"
    return _PLAIN.encode(value)
