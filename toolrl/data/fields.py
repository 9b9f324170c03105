"""The fields of a raw row, read alike by every format: a list that may be JSON text, and a name that may be a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolrl.data.jsontext import dumps, loads
from toolrl.errors import DataError
from toolrl.types import Json


def read_list(row: Mapping[str, Any], key: str, what: str = "") -> list[Json]:
    """Return the list of a field, given as it is or as JSON text. Raises DataError."""
    value = row.get(key)
    if isinstance(value, str):
        try:
            value = loads(value)
        except ValueError as error:
            raise DataError(f"`{key}`: expected a list or its JSON text, got {value[:80]!r} ({error}); mend or remove the row") from error
    if isinstance(value, list):
        return value
    got = dumps(value)[:80] if key in row else "nothing"
    raise DataError(f"`{key}`: expected a list{what and ' ' + what}, got {got}; add it, [] if there are none")


def read_name(row: Mapping[str, Any], key: str) -> str:
    """Return a name the row gives, or "" where it gives none. Raises DataError."""
    value = row.get(key)
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return "" if value is None else str(value)
    raise DataError(f"`{key}`: expected text, got {dumps(value)[:80]}; write it in quotes or leave it out")


def read_text(row: Mapping[str, Any], key: str) -> str:
    """Return the text of a field that must hold some. Raises DataError."""
    value = row.get(key)
    if isinstance(value, str) and value.strip():
        return value
    raise DataError(f"`{key}`: expected text, got {dumps(value)[:80] if key in row else 'nothing'}; mend or remove the row")
