"""JSON text -> values, exactly and totally: within caps, and nothing that is not JSON.

`EXACT` keeps numbers as int or Decimal, refuses an object that names a key twice, NaN, Infinity and whatever overflows a
double. `LOOSE` forgives raw control characters and repeated keys (the last one wins); `PYTHON` is what `json.loads` does,
floats and NaN included. All three stay within the caps: nesting is measured before the recursive decoder sees the text,
so that 100,000 × `[` is a problem with a name and not a dead process.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation

from toolrl.types import Json, Reason

MAX_CHARS = 1 << 20
"""Longest text that is read, in characters: 128 for each of the 8,192 tokens of the paper's longest completion."""
MAX_DEPTH = 128
"""Deepest nesting of lists and objects."""
MAX_DIGITS = 640
"""Longest number, in characters: the least limit an interpreter can be set to (PYTHONINTMAXSTRDIGITS)."""

_OVERFLOW = Decimal(2**1024 - 2**970)  # the least magnitude that rounds to infinity as a double
_SPACE = re.compile(r"[ \t\n\r]*")
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)  # a string, closed or not, or a bracket: linear on any text


class JsonError(ValueError):
    """Text that cannot be read as JSON within the caps."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


def _integer(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise JsonError(Reason.TOO_LARGE, f"a number of {len(literal)} digits")
    return int(literal)


def _decimal(literal: str) -> Decimal:
    if len(literal) > MAX_DIGITS:
        raise JsonError(Reason.TOO_LARGE, f"a number of {len(literal)} digits")
    try:
        value = Decimal(literal)
    except InvalidOperation:  # an exponent beyond what Decimal can hold
        raise JsonError(Reason.INVALID_JSON, f"the number {literal} is out of range") from None
    if not -_OVERFLOW < value < _OVERFLOW:
        raise JsonError(Reason.INVALID_JSON, f"the number {literal} is out of range")
    return value


def _constant(literal: str) -> Json:
    raise JsonError(Reason.INVALID_JSON, f"{literal} is not JSON")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        key = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise JsonError(Reason.DUPLICATE_KEY, f"the key {key!r} stands twice in one object")
    return found


EXACT = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_decimal, parse_constant=_constant)
LOOSE = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_decimal, parse_constant=_constant)
PYTHON = json.JSONDecoder(parse_int=_integer)


def skip_space(text: str, start: int) -> int:
    """Return the first position from `start` on that is not JSON white space."""
    found = _SPACE.match(text, start)
    assert found is not None  # the pattern matches the empty string
    return found.end()


def scan(text: str, start: int, decoder: json.JSONDecoder = EXACT) -> tuple[Json, int]:
    """Read the one value that begins at `start`; return it and where it ends. Raises JsonError."""
    if _too_deep(text, start):
        raise JsonError(Reason.TOO_LARGE, f"nested deeper than {MAX_DEPTH}")
    try:
        return decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise JsonError(Reason.INVALID_JSON, f"{error.msg} at character {error.pos - start}") from None


def decode(text: str, decoder: json.JSONDecoder = EXACT) -> Json:
    """Read a text that is one value and nothing else. Raises JsonError."""
    value, end = scan(text, skip_space(text, 0), decoder)
    if skip_space(text, end) != len(text):
        raise JsonError(Reason.INVALID_JSON, f"more text after the value, at character {end}")
    return value


def _too_deep(text: str, start: int) -> bool:
    """Whether the value at `start` nests deeper than MAX_DEPTH; brackets inside strings do not count."""
    if not text.startswith(("[", "{"), start) or text.count("[", start) + text.count("{", start) <= MAX_DEPTH:
        return False
    depth = 0
    for found in _STRUCTURE.finditer(text, start):
        token = found[0]
        if token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token in "]}":
            depth -= 1
            if depth <= 0:
                return False
    return False
