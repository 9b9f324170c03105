"""Does a reference contradict the tools it calls? Answered call by call with the `jsonschema` library, never by raising.

Schemas come from data, so what could hang or raise is left out: a remote `$ref` is not followed, a `pattern` (a foreign regex, which
may never end) and `multipleOf` (division of any two Decimals) are not checked, and what is no JSON schema is a fault of its own. Numbers
may be int or Decimal; true and false are no integers; 1.0 is one. An argument that a schema does not name is unknown, unless the schema
leaves it open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, FormatChecker, TypeChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from toolrl.data.jsontext import dumps, loads
from toolrl.data.schemas import ORIGIN_TYPE
from toolrl.types import Json, Tool, ToolCall


class Fault(StrEnum):
    """How a reference contradicts the tools on offer."""

    NAME_NOT_OFFERED = "name_not_offered"
    UNKNOWN_ARGUMENT = "unknown_argument"
    MISSING_ARGUMENT = "missing_argument"
    WRONG_TYPE = "wrong_type"
    NOT_IN_ENUM = "not_in_enum"
    OUTSIDE_SCHEMA = "outside_schema"
    """Any other rule: a range, a length, a choice of alternatives."""
    INVALID_SCHEMA = "invalid_schema"
    """The called tool's parameters are no JSON schema, so nothing can be said of the call."""


class Contradiction(NamedTuple):
    """The first fault of a reference: which, where in the calls, and what was expected and got."""

    fault: Fault
    path: str
    """As in `[0].arguments.city`."""
    detail: str


class Breach(NamedTuple):
    """A place whose value is of a wrong type or none of its choices: what `repair` may mend."""

    path: tuple[str | int, ...]
    """From the arguments inwards."""
    types: tuple[str, ...]
    """The types that would be right; none where the type is not what is wrong."""
    choices: tuple[Json, ...]
    """The values that would be right; none where any value of the type is."""
    got: Json


_RULES = {
    "required": Fault.MISSING_ARGUMENT,
    "additionalProperties": Fault.UNKNOWN_ARGUMENT,
    "type": Fault.WRONG_TYPE,
    "enum": Fault.NOT_IN_ENUM,
    "const": Fault.NOT_IN_ENUM,
}
_CLOSED_UNLESS = frozenset({"additionalProperties", "unevaluatedProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf"})
_ALTERNATIVES = frozenset({"anyOf", "oneOf"})
_NO_FORMATS = FormatChecker(formats=())
"""A pattern that Python's `re` does not know may well be a right one."""
_SCHEMAS_KEPT = 8192
_SILENT = frozenset({"type", "title", "description", "default", ORIGIN_TYPE})
"""Words of a schema that forbid nothing, and `type`."""
_SURELY: Mapping[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, Decimal)}
"""Types of values that are right for a type word; others may be too."""


def contradiction(reference: tuple[ToolCall, ...], tools: tuple[Tool, ...]) -> Contradiction | None:
    """Return the first way the reference contradicts the tools, or None. Where two tools share a name, one must fit."""
    for i, call in enumerate(reference):
        offered = [tool for tool in tools if tool.name == call.name]
        if not offered:
            return Contradiction(Fault.NAME_NOT_OFFERED, f"[{i}].name", f"{call.name!r} is not among the row's tools")
        found = [_call_fault(call, tool, f"[{i}].arguments") for tool in offered]
        if all(found):
            return found[0]
    return None


def breaches(arguments: Mapping[str, Json], tool: Tool) -> list[Breach]:
    """Return every place in a call's arguments with a wrong type or choice; none where the schema cannot be used."""
    validator = _compiled(dumps(tool.parameters)).validator
    try:
        return [_breach(error) for error in validator.iter_errors(arguments)] if validator else []
    except (Unresolvable, RecursionError):
        return []


def _breach(error: ValidationError) -> Breach:
    """Return what would be right at the place of an error; of alternatives (anyOf), the types that they ask of this very place."""
    alternatives = [each for each in error.context or () if not each.relative_path] if error.validator in _ALTERNATIVES else [error]
    types = [word for each in alternatives if each.validator == "type" for word in _listed(each.validator_value)]
    choices = [value for each in alternatives if each.validator == "enum" for value in each.validator_value]
    choices += [each.validator_value for each in alternatives if each.validator == "const"]
    return Breach(tuple(error.absolute_path), tuple(types), tuple(choices), error.instance)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def place(path: str, parts: Iterable[str | int]) -> str:
    """Return the name of a place under `path`: `[0].arguments` and `("at", 1)` give `[0].arguments.at[1]`."""
    return path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _call_fault(call: ToolCall, tool: Tool, path: str) -> Contradiction | None:
    schema = _compiled(dumps(tool.parameters))
    if schema.validator is None:
        return Contradiction(Fault.INVALID_SCHEMA, path, schema.problem)
    if schema.plainly_fits(call.arguments):
        return None
    try:
        return next(_faults(call.arguments, schema.validator, path), None)
    except (Unresolvable, RecursionError) as error:
        return Contradiction(Fault.INVALID_SCHEMA, path, f"its $ref leads nowhere: {error}")


def _faults(arguments: Mapping[str, Json], validator: Any, path: str) -> Iterator[Contradiction]:
    schema = validator.schema
    if not _CLOSED_UNLESS & schema.keys():
        for name in (name for name in arguments if name not in schema.get("properties", {})):
            yield Contradiction(Fault.UNKNOWN_ARGUMENT, f"{path}.{name}", "the schema does not name it")
    for error in validator.iter_errors(arguments):
        yield _contradiction(error, path)


def _contradiction(error: ValidationError, path: str) -> Contradiction:
    where = place(path, error.absolute_path)
    rule = str(error.validator)
    got = dumps(error.instance)[:80]
    return Contradiction(_RULES.get(rule, Fault.OUTSIDE_SCHEMA), where, f"{rule} {dumps(error.validator_value)[:80]}, got {got}")


class _Compiled(NamedTuple):
    """A schema made ready."""

    validator: Any
    """None where it is no JSON schema."""
    problem: str = ""
    plain: Mapping[str, tuple[type, ...]] = MappingProxyType({})
    """The arguments of which the schema says the type and no more, each with the types of values that are surely right."""
    required: frozenset[str] = frozenset()

    def plainly_fits(self, arguments: Mapping[str, Json]) -> bool:
        """Whether the arguments fit for sure: what the library finds out too, at twenty times the cost."""
        return self.required <= arguments.keys() and all(type(value) in self.plain.get(name, ()) for name, value in arguments.items())


def _compile_plain(schema: Mapping[str, Any], validator: Any) -> _Compiled:
    required = frozenset(schema.get("required", ()))
    if schema.get("type") != "object" or not schema.keys() <= _SILENT | {"properties", "required"}:
        return _Compiled(validator, required=required | {""})  # nothing is plain, not even no arguments
    members = schema.get("properties", {}).items()
    plain = {
        name: _SURELY[spec["type"]]
        for name, spec in members
        if isinstance(spec, dict) and spec.keys() <= _SILENT and isinstance(spec.get("type"), str) and spec["type"] in _SURELY
    }
    return _Compiled(validator, plain=plain, required=required)


@lru_cache(maxsize=_SCHEMAS_KEPT)
def _compiled(parameters: str) -> _Compiled:
    """Return the schema of a text, made ready. Data sets repeat tools, so most are made once."""
    schema = loads(parameters)
    try:
        Draft202012Validator.check_schema(schema, format_checker=_NO_FORMATS)
    except SchemaError as error:
        return _Compiled(None, f"parameters{''.join(f'.{p}' for p in error.absolute_path)}: {error.message[:160]}")
    return _compile_plain(schema, _Validator(schema, registry=Registry()))


def _is_integer(checker: TypeChecker, value: Json) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


def _unchecked(*_: Any) -> Iterator[ValidationError]:
    return iter(())


def _additional(validator: Any, value: Json, instance: Json, schema: Json) -> Iterator[ValidationError]:
    """The library's rule, but where `patternProperties` decide what is additional."""
    if "patternProperties" not in schema:
        yield from Draft202012Validator.VALIDATORS["additionalProperties"](validator, value, instance, schema)


_Validator = extend(
    Draft202012Validator,
    {"additionalProperties": _additional}
    | dict.fromkeys(("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems", "multipleOf"), _unchecked),
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
