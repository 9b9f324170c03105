"""xLAM's rows (`Salesforce/xlam-function-calling-60k`): `id`, `query`, `answers` and `tools`, both lists as JSON text or as they are.

Parameters are flat: `{argument: {description, type, default?}}`. An argument is required unless it has a `default` or its type word says
`optional`: the set has no other sign of it. A default of the wrong kind ("" for a number) is a placeholder: it makes the argument
optional, but is not stated as its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from toolrl.data.fields import read_list, read_name, read_text
from toolrl.data.history import read_calls
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import json_schema, read_tools
from toolrl.data.steps import Dialogue, Origin
from toolrl.data.typewords import is_optional
from toolrl.errors import DataError
from toolrl.types import Json, Message, Tool

_KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,), "number": (int, Decimal), "boolean": (bool,), "array": (list,), "object": (dict,),
}  # fmt: skip


def fits(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like xLAM's."""
    return all(key in row for key in ("query", "answers", "tools"))


def read(row: Mapping[str, Any], origin: Origin) -> Dialogue:
    """Return the one step of a row. Raises DataError without a place."""
    query, name = read_text(row, "query"), read_name(row, "id")
    return Dialogue(
        id=f"xlam-{name}" if name.isdecimal() else name or origin.id,
        source=origin.source,
        turns=(Message("user", query),),
        tools=flat_tools(read_list(row, "tools")),
        reference=read_calls(read_list(row, "answers", "of calls"), "answers"),
    )


def flat_tools(tools: list[Json]) -> tuple[Tool, ...]:
    """Return tools whose parameters are flat, or a JSON schema already. Raises DataError."""
    return read_tools([tool | {"parameters": _schema(tool.get("parameters"))} if isinstance(tool, dict) else tool for tool in tools])


def _schema(parameters: Json) -> Json:
    if not isinstance(parameters, dict) or isinstance(parameters.get("type"), str):
        return parameters  # none, a JSON schema, or read_tools says what is wrong
    return {
        "type": "object",
        "properties": {name: _argument(spec, name) for name, spec in parameters.items()},
        "required": [name for name, spec in parameters.items() if "default" not in spec and not is_optional(str(spec.get("type", "")))],
    }


def _argument(spec: Json, name: str) -> dict[str, Json]:
    if not isinstance(spec, dict):
        raise DataError(f"the argument {name!r}: expected {{description, type}}, got {dumps(spec)[:80]}; mend or remove the row")
    found = json_schema(spec)
    kinds = _KINDS.get(found["type"]) if isinstance(found.get("type"), str) else None
    default = found.get("default")
    if "default" in found and (default is None or (kinds and not _is(default, kinds))):
        del found["default"]
    return found


def _is(value: Json, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
