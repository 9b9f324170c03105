"""What BFCL's checker accepts for a prompt: the values its data set lists, or else those of its reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from toolrl.calls.bfcl.declared import LANGUAGE, Declared, declared
from toolrl.calls.bfcl.values import LEFT_OUT
from toolrl.calls.latest import kept
from toolrl.calls.match import differences
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import AcceptedCall, Json, Prompt, ToolCall

_MAY_STATE_DEFAULT = frozenset(("default", "$ref", "anyOf", "oneOf", "allOf"))


@kept
def accepted_of(prompt: Prompt) -> tuple[AcceptedCall, ...]:
    """Return the calls that are accepted as the answer to `prompt`.

    Where the data set lists no values, each value of the reference alone is right. An optional argument that equals the
    default which the schema states may also be left out, and one that the reference leaves out be given as that default.
    """
    return prompt.accepted or tuple(_accepted(call, arguments_of(prompt.tools, call.name)) for call in prompt.reference)


def _accepted(call: ToolCall, place: Place) -> AcceptedCall:
    properties = place.root.get("properties")
    schemas = properties if isinstance(properties, Mapping) else {}
    return AcceptedCall(call.name, dict(_values(call.arguments, schemas, place)))


def _values(given: Mapping[str, Json], schemas: Mapping[str, Json], place: Place) -> Iterator[tuple[str, tuple[Json, ...]]]:
    language = place.root.get(LANGUAGE)
    for key, value in given.items():
        schema = schemas.get(key)
        stated = _stated(value, declared(schema, language))
        yield key, (stated, LEFT_OUT) if _states_default(schema) and _is_default(value, key, place) else (stated,)
    for key, schema in schemas.items():
        if key not in given and _states_default(schema) and (default := place.default(key)) is not ABSENT:
            yield key, (_stated(default, declared(schema, language)), LEFT_OUT)


def _states_default(schema: Json) -> bool:
    """Whether a schema can state a default; most state none, and need not be read to know it."""
    return isinstance(schema, Mapping) and not schema.keys().isdisjoint(_MAY_STATE_DEFAULT)


def _is_default(value: Json, key: str, place: Place) -> bool:
    default = place.default(key)
    return default is not ABSENT and next(differences(value, default, place.member(key)), None) is None


def _stated(value: Json, wanted: Declared) -> Json:
    """Return a value as the checker expects it: that of a literal, and with the values of an object's members listed."""
    if wanted.literal is not None and type(value) is str:
        try:
            value = wanted.literal.read(value, wanted.literal.word, wanted.literal.items)
        except ValueError:  # no such literal is right, so neither is any answer
            return value
    return _listed(value, wanted)


def _listed(value: Json, wanted: Declared) -> Json:
    """Return a value with the members of an object, or of the objects of a list, as lists of values."""
    if type(value) is dict and wanted.outer in (dict, None):
        return {key: [item] for key, item in value.items()}
    if type(value) is list and wanted.outer is list and wanted.inner is dict:
        return [{key: [each] for key, each in item.items()} if type(item) is dict else item for item in value]
    return value
