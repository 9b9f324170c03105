"""Schemas of other origins -> JSON schema, the origin's type word kept.

    {"type": "dict", "properties": {"n": {"type": "float"}}}
    ─> {"type": "object", "x_type": "dict", "properties": {"n": {"type": "number", "x_type": "float"}}}

`x_type` stands where the origin's word is not JSON schema's. It stays in the data, since BFCL's checker asks for it, and is not shown to
the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from toolrl.data.jsontext import dumps
from toolrl.data.typewords import JSON_TYPES, type_schema
from toolrl.errors import DataError
from toolrl.types import Json, Tool

ORIGIN_TYPE: Final = "x_type"
"""Keyword for the type word of a schema's origin."""
ORIGIN_LANGUAGE: Final = "x_language"
"""Keyword of a tool's parameters for the language its values are written in, where that is not JSON: java or javascript (BFCL)."""

_HOLD_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_HOLD_VALUES = frozenset({"default", "enum", "const", "examples", "required", "description", "type", ORIGIN_TYPE})
_MAY_BE_NULL = frozenset({"default", "const"})

NO_ARGUMENTS: Final[Mapping[str, Json]] = {"type": "object", "properties": {}}


def read_tools(tools: list[Json]) -> tuple[Tool, ...]:
    """Return tools given as objects, plain or in OpenAI's envelope, their schemas in JSON schema's words. Raises DataError."""
    return tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools))


def json_schema(schema: Mapping[str, Any]) -> dict[str, Json]:
    """Return a schema with JSON schema's type words at every depth; a word that is none of them (any) states no type.

    A keyword that is null says nothing and goes, and `required: true` moves from an argument to the list of the object that holds it.
    """
    found = {key: _inside(key, value) for key, value in schema.items() if value is not None or key in _MAY_BE_NULL}
    if isinstance(stated := found.get("required", []), list):
        marked = [name for name, each in _members(schema) if each.get("required") is True and name not in stated]
        if marked:
            found["required"] = [*stated, *marked]
    else:
        del found["required"]
    word = schema.get("type")
    if not isinstance(word, str) or word in JSON_TYPES:
        return found
    del found["type"]
    return type_schema(word) | found | {ORIGIN_TYPE: word}


def _tool(tool: Json, where: str) -> Tool:
    inner = tool.get("function", tool) if isinstance(tool, dict) else tool
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"]:
        raise DataError(f"{where}: expected {{name, description, parameters}}, got {dumps(tool)[:80]}; name the tool")
    parameters = inner.get("parameters")
    if parameters is None:
        parameters = NO_ARGUMENTS
    if not isinstance(parameters, dict):
        raise DataError(f"{where}.parameters: expected a JSON schema, got {dumps(parameters)[:80]}; write the schema as an object")
    return Tool(inner["name"], str(inner.get("description") or ""), json_schema(parameters))


def _members(schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    properties = schema.get("properties")
    return [(name, each) for name, each in properties.items() if isinstance(each, Mapping)] if isinstance(properties, Mapping) else []


def _inside(key: str, value: Any) -> Json:
    if key in _HOLD_VALUES:
        return value
    if key in _HOLD_SCHEMAS and isinstance(value, Mapping):
        return {name: json_schema(item) if isinstance(item, Mapping) else {} if item is None else item for name, item in value.items()}
    if isinstance(value, Mapping):
        return json_schema(value)
    if isinstance(value, list):
        return [json_schema(item) if isinstance(item, Mapping) else item for item in value]
    return value
