"""What BFCL understands by the schema of an argument: the type its value must have, and how the value is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import toolrl.calls.bfcl.java as java
import toolrl.calls.bfcl.javascript as javascript
from toolrl.types import Json

LANGUAGE: Final = "x_language"
"""Keyword of a tool's parameters: java or javascript, where values are text that holds literals; absent where they are JSON."""
ORIGIN_TYPE: Final = "x_type"
"""Keyword for the type word of a schema's origin."""

_JSON: Final[Mapping[str, type]] = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict, "any": str,
    "number": float, "object": dict,  # JSON schema's own
}  # fmt: skip


class Declared(NamedTuple):
    """The declared type of an argument."""

    outer: type | None
    """None where the schema states no type: then it is that of the first accepted value."""
    inner: type | None = None
    """The type of a list's items; None where it is not asked for."""
    literal: Literal | None = None
    """How the value is read out of the text that must be given; None where it is given as JSON."""


class Literal(NamedTuple):
    """The literals of a type in another language."""

    language: str
    word: str
    items: str | None
    read: Callable[[str, str, str | None], Json]


class _Language(NamedTuple):
    name: str
    types: Mapping[str, type]
    lists: frozenset[str]
    read: Callable[[str, str, str | None], Json]


_LANGUAGES: Final[Mapping[str, _Language]] = {
    "java": _Language("Java", java.TYPES, java.LISTS, java.read_java),
    "javascript": _Language("JavaScript", javascript.TYPES, javascript.LISTS, javascript.read_javascript),
}


def declared(schema: Json, language: Json = None) -> Declared:
    """Return the declared type of an argument of a tool in `language`."""
    if isinstance(language, str) and language in _LANGUAGES:
        return _in_language(schema, _LANGUAGES[language])
    outer = _first(schema, _JSON)
    return Declared(outer, _first(schema.get("items"), _JSON) if outer is list else None)


def _in_language(schema: Json, language: _Language) -> Declared:
    word = _word(schema, language.types)
    if word is None:
        return Declared(None, literal=Literal(language.name, "any", None, language.read))
    items = _word(schema.get("items"), language.types) if word in language.lists else None
    return Declared(language.types[word], language.types[items] if items else None, Literal(language.name, word, items, language.read))


def _first(schema: Any, types: Mapping[str, type]) -> type | None:
    word = _word(schema, types)
    return None if word is None else types[word]


def _word(schema: Any, types: Mapping[str, type]) -> str | None:
    """Return the word of `types` that a schema states: that of its origin before JSON schema's, null aside."""
    if not isinstance(schema, Mapping):
        return None
    word = schema.get(ORIGIN_TYPE)
    if isinstance(word, str) and word in types:
        return word
    word = schema.get("type")
    if isinstance(word, list):
        return next((each for each in word if isinstance(each, str) and each in types), None)
    return word if isinstance(word, str) and word in types else None
