"""What BFCL understands by the schema of an argument: the type its value must have, and how the value is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from toolrl.types import Json

LANGUAGE: Final = "x_language"
"""Keyword of a tool's parameters: java or javascript; absent where values are JSON."""
ORIGIN_TYPE: Final = "x_type"
"""Keyword for the type word of a schema's origin."""

_PYTHON: Final[Mapping[str, type]] = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict, "any": str,
    "number": float, "object": dict,  # JSON schema's own
}  # fmt: skip


class Declared(NamedTuple):
    """The declared type of an argument."""

    outer: type | None
    """None where the schema states no type: then it is that of the first accepted value."""
    inner: type | None = None
    """The type of a list's items; None where it is not asked for."""


def declared(schema: Json) -> Declared:
    """Return the declared type of an argument whose value is JSON."""
    outer = _type_of(schema)
    return Declared(outer, _type_of(schema.get("items")) if outer is list else None)


def _type_of(schema: Any) -> type | None:
    if not isinstance(schema, Mapping):
        return None
    stated = schema.get("type")
    if isinstance(stated, list):  # the first that is not null
        stated = next((word for word in stated if word != "null"), None)
    for word in (schema.get(ORIGIN_TYPE), stated):
        if isinstance(word, str) and word in _PYTHON:
            return _PYTHON[word]
    return None
