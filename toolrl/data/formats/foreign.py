"""Values of BFCL's Java and JavaScript questions -> the text a call must hold: every argument there is a literal of that language, as text.

java        5 as long ─> "5L"      [1, 2] as ArrayList of integer ─> "new ArrayList<Integer>(Arrays.asList(1, 2))"
javascript  5 as Bigint ─> "5n"    {"a": true} as dict ─> "{a: true}"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from toolrl.calls.render import to_json
from toolrl.data.schemas import ORIGIN_LANGUAGE, ORIGIN_TYPE
from toolrl.types import Json

NAMES: Final[Mapping[str, str]] = {"java": "Java", "javascript": "JavaScript"}

_SUFFIX: Final[Mapping[str, str]] = {"long": "L", "float": "f", "Bigint": "n"}
_BOXED: Final[Mapping[str, str]] = {"integer": "Integer", "long": "Long", "float": "Float", "double": "Double", "boolean": "Boolean"}


def as_text_schema(parameters: Mapping[str, Json], language: str) -> dict[str, Json]:
    """Return the parameters of a tool as the model is shown them: each argument is text, which says what it must hold."""
    properties = parameters.get("properties")
    shown = {name: _text(schema, NAMES[language]) for name, schema in properties.items()} if isinstance(properties, Mapping) else {}
    return {**parameters, "properties": shown, ORIGIN_LANGUAGE: language}


def as_text(value: Json, schema: Json, language: str) -> str:
    """Return the literal of a value, of the type that its schema states."""
    if isinstance(value, str):
        return value
    word = _word(schema)
    if language == "javascript":
        return _javascript(value, word)
    return _java(value, word, _word(schema.get("items")) if isinstance(schema, Mapping) else "")


def _word(schema: Json) -> str:
    word = schema.get(ORIGIN_TYPE, schema.get("type")) if isinstance(schema, Mapping) else None
    return word if isinstance(word, str) else ""


def _text(schema: Json, language: str) -> Json:
    if not isinstance(schema, Mapping):
        return schema
    word = _word(schema) or "any"
    note = f"Text that holds a {language} literal of type {word}."
    return {**schema, "type": "string", ORIGIN_TYPE: word, "description": f"{schema.get('description', '')} {note}".strip()}


def _java(value: Json, word: str, items: str = "") -> str:
    if isinstance(value, list):
        inside = ", ".join(
            item if word == "Array" and items == "String" and isinstance(item, str) else _java(item, items) for item in value
        )
        boxed = _BOXED.get(items, "String" if items == "String" else "Object")
        return f"new {boxed}[]{{{inside}}}" if word == "Array" else f"new ArrayList<{boxed}>(Arrays.asList({inside}))"
    if isinstance(value, dict):
        puts = " ".join(f"put({to_json(key)}, {_java(item, '')});" for key, item in value.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}" if puts else "new HashMap<String, Object>()"
    return to_json(value) + (_SUFFIX.get(word, "") if not isinstance(value, bool) else "")


def _javascript(value: Json, word: str) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_javascript(item, '') for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_javascript(item, '')}" for key, item in value.items()) + "}"
    return to_json(value) + (_SUFFIX.get(word, "") if word == "Bigint" else "")
