"""JSON of data files, in and out: the exact reader and writer of `calls`, made fit for whole data sets.

    text ─ loads ─> value ─ dumps ─> text with the same numbers, digit by digit

Whole numbers are int, all others Decimal. Besides what `calls` refuses (NaN, a key twice in one object, deep nesting), half a surrogate
pair is refused here: no tokenizer and no Parquet file can hold it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from toolrl.calls.jsontext import decode, scan
from toolrl.calls.render import to_json
from toolrl.types import Json

_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def loads(text: str) -> Json:
    """Return the value of a JSON text. Raises ValueError with what is wrong with it."""
    return _whole(decode(text), text)


def loads_at(text: str, start: int) -> tuple[Json, int]:
    """Return the JSON value that begins at `start`, and where it ends. Raises ValueError."""
    value, end = scan(text, start)
    return _whole(value, text[start:end]), end


def dumps(value: Json, *, sort_keys: bool = False) -> str:
    """Return the JSON text of a value in one line. Raises ValueError where it is none."""
    try:
        return (_SORTED if sort_keys else _PLAIN).encode(value)  # ten times as fast as `to_json`
    except TypeError:  # a Decimal, which the standard encoder knows only as float
        return to_json(_sorted(value) if sort_keys else value)


def _whole(value: Json, text: str) -> Json:
    if "\\u" in text:  # only an escape can hold half a pair: the text itself was decoded from UTF-8
        for string in _strings(value):
            if half := _HALF_PAIR.search(string):
                raise ValueError(f"half of a surrogate pair ({half[0]!r}) is no character")
    return value


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _sorted(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
