"""Type words of other origins -> JSON schema: `List[int]`, `str, optional`, `Dict[str, Any]`, `Union[int, None]`, `Literal['a', 'b']`.

    word     := plain [', optional'] | word '|' word | word ' or ' word
    plain    := name ['[' word (',' word)* ']']

What has no counterpart (Any, Callable, a class) states no type.
"""

from __future__ import annotations

from typing import Final

from toolrl.calls.schema import TYPE_WORDS
from toolrl.types import Json

JSON_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
MAX_DEPTH: Final = 16
"""Deeper nested words state no type."""

_MORE_WORDS = {"none": "null", "nonetype": "null", "set": "array", "frozenset": "array", "sequence": "array", "iterable": "array",
               "mapping": "object", "defaultdict": "object"}  # fmt: skip
_ARRAYS = frozenset({"list", "set", "frozenset", "sequence", "iterable", "array"})
_OBJECTS = frozenset({"dict", "mapping", "object", "defaultdict"})


def type_schema(word: str) -> dict[str, Json]:
    """Return the schema that a type word stands for; empty where it states no type."""
    return _schema(word, 0)


def is_optional(word: str) -> bool:
    """Whether a type word says that the argument may be left out."""
    return any(part.strip().lower().rstrip(".") == "optional" for part in _split(word, ",")) or _head(word) == "optional"


def _schema(word: str, depth: int) -> dict[str, Json]:
    parts = [part.strip() for part in _split(word, ",")]
    word = next((part for part in parts if part and part.lower().rstrip(".") != "optional"), "")
    if depth > MAX_DEPTH or not word:
        return {}
    choices = [choice for part in _split(word, "|") for choice in part.split(" or ")] if "[" not in word else _split(word, "|")
    if len(choices) > 1:
        return _union(choices, depth)
    head, inner = _head(word), _inner(word)
    if inner:
        return _generic(head, inner, depth)
    known = TYPE_WORDS.get(head) or _MORE_WORDS.get(head, head)
    return {"type": known} if known in JSON_TYPES else {}


def _generic(head: str, inner: list[str], depth: int) -> dict[str, Json]:
    if head == "optional":
        return _schema(inner[0], depth + 1)
    if head == "union":
        return _union(inner, depth)
    if head == "literal":
        return {"enum": [choice.strip().strip("'\"") for choice in inner]} if all(choice.strip()[:1] in "'\"" for choice in inner) else {}
    if head in _ARRAYS:
        return _with("array", "items", _schema(inner[0], depth + 1))
    if head == "tuple":
        items = [_schema(item, depth + 1) for item in inner if item.strip() != "..."]
        return _with("array", "items", items[0] if items and all(item == items[0] for item in items) else {})
    if head in _OBJECTS:
        return _with("object", "additionalProperties", _schema(inner[-1], depth + 1))
    return {}


def _with(kind: str, key: str, schema: dict[str, Json]) -> dict[str, Json]:
    return {"type": kind, key: schema} if schema else {"type": kind}


def _union(choices: list[str], depth: int) -> dict[str, Json]:
    """Return what any of the choices allows; one that states no type allows everything, and None only says that a value may be missing."""
    schemas = [_schema(choice, depth + 1) for choice in choices if choice.strip().lower() not in ("none", "null", "nonetype")]
    if not all(schemas) or not schemas:
        return {}
    distinct = [schema for i, schema in enumerate(schemas) if schema not in schemas[:i]]
    if len(distinct) == 1:
        return distinct[0]
    if all(list(schema) == ["type"] for schema in distinct):
        return {"type": [schema["type"] for schema in distinct]}
    return {"anyOf": distinct}


def _head(word: str) -> str:
    return word.partition("[")[0].strip().lower().removeprefix("typing.")


def _inner(word: str) -> list[str]:
    """Return what stands between a word's brackets, split at commas; nothing where it has none, or none that end it."""
    opened = word.find("[")
    return _split(word[opened + 1 : -1], ",") if opened > 0 and word.endswith("]") else []


def _split(word: str, mark: str) -> list[str]:
    """Split at a mark that stands outside of brackets."""
    parts, depth = [""], 0
    for letter in word:
        depth += (letter in "[({") - (letter in "])}")
        if letter == mark and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
