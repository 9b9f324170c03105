"""ACEBench's own rules for calls, written anew: what its checker accepts, surprises included.

calls ─> as its pipeline reads them ─> as many as the answer has, of the same names ─> each call of the answer is met by some call

- An answer is read after all white space was taken out of it. A text in a list in an object is compared as it stands, so the label itself
  cannot pass where it has a space there.
- Numbers and truth values are not compared, only their types; nor is anything whose label is of another type than the schema says.
- An argument of the label may be left out where the schema does not require it; none may be added.
- A text passes if the label's is in it, after space and `,./-_*^` are dropped and in lower case; so does what is in an object.
- One call may meet several calls of the answer; another call of that name is then not looked at.
- Where upstream's program would end with an error (a schema without `required`, a type it does not know) nothing passes.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from toolrl.types import Json, ToolCall

_TYPES: Final[Mapping[str, type]] = {
    "string": str, "any": str, "integer": int, "int": int, "number": int, "float": float, "boolean": bool, "array": list, "tuple": list,
    "list": list, "list(string)": list, "list(enum)": list, "dict": dict, "object": dict, "enum": enumerate,
}  # fmt: skip
"""What a schema's word stands for; a number is an int, so that a fraction is always of another type."""
_NESTED: Final = frozenset({"array", "tuple", "list(string)", "list(enum)", "object"})
_NUMBERED: Final = re.compile(r"_\d+$")
"""What tells calls of the same name apart in an answer."""
_DROPPED: Final = re.compile(r"[ ,./\-_*^]")


def accepts(calls: Sequence[ToolCall], functions: Sequence[Json], answer: Mapping[str, Json]) -> bool:
    """Whether upstream's checker accepts calls for one answer.

    Args:
        calls: What was answered.
        functions: The functions on offer, as in the file.
        answer: Name -> arguments, as in the file; calls of one name are numbered there.
    """
    if not all(map(_can_be_written, calls)):
        return False
    answer = _with_floats(answer)
    given = [(_unspaced(call.name), _unspaced(call.arguments)) for call in calls]
    wanted = [(_NUMBERED.sub("", name), arguments) for name, arguments in answer.items()]
    if Counter(name for name, _ in given) != Counter(name for name, _ in wanted):
        return False
    schemas = [next((each for each in functions if each["name"] in name), None) for name in answer]
    return all(
        any(name == other and _meets(name, arguments, schema, label) for other, arguments in given)
        for (name, label), schema in zip(wanted, schemas, strict=True)
    )


def _can_be_written(call: ToolCall) -> bool:
    """Whether a call can be written in Python's syntax, which upstream reads."""
    words = (*_unspaced(call.name).split("."), *map(_unspaced, call.arguments))
    return all(word.isidentifier() and not keyword.iskeyword(word) for word in words)


def _unspaced(value: Json) -> Any:
    """Return a value as upstream reads it from an answer: without spaces."""
    if isinstance(value, str):
        return value.replace(" ", "")
    if isinstance(value, Mapping):
        return {_unspaced(key): _unspaced(item) for key, item in value.items()}
    return [_unspaced(item) for item in value] if isinstance(value, list | tuple) else _with_floats(value)


def _with_floats(value: Json) -> Any:
    """Return a value with its fractions as upstream has them."""
    if isinstance(value, Mapping):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _meets(name: str, arguments: Mapping[str, Any], schema: Json, label: Mapping[str, Any]) -> bool:
    """Whether a call of the right name meets a call of the answer."""
    parameters = schema.get("parameters") if schema is not None else None
    if parameters is None:
        return False
    if not arguments or not parameters:
        return not arguments and not parameters
    members, required = parameters.get("properties"), parameters.get("required")
    if members is None:
        return False
    if label == members:
        return True
    if not label or schema["name"] != name or required is None or not set(required) <= arguments.keys():
        return False
    return all(key in members and key in label and _fits(value, members[key], label[key]) for key, value in arguments.items())


def _fits(value: Any, member: Mapping[str, Any], label: Any) -> bool:
    """Whether the value of an argument passes."""
    word = member.get("type")
    kind = _TYPES.get(word) if isinstance(word, str) else None
    if kind is None:
        return False
    nested = word in _NESTED
    inner = _inner(member, str(word)) if nested else None
    if nested and inner is None:
        return False
    if word == "float" and type(value) is int:
        value = float(value)
    if not _typed(value, kind, inner, label):
        return False
    if label != "" and type(label) is not kind:  # of another type than the schema says: a "variable", whose value is not looked at
        return True
    if kind is dict:
        return _object_fits(value, label)
    if kind is str:
        return _plain(label) in _plain(value)
    if kind is list:
        return _objects_fit(value, label) if inner is dict else list(map(_plain, value)) == list(map(_plain, label))
    return True


def _inner(member: Mapping[str, Any], word: str) -> type | None:
    """Return the type of what is in a value, or None where upstream knows none."""
    items = member.get("items")
    if isinstance(items, Mapping) and "type" in items:
        return _TYPES.get(items["type"]) if isinstance(items["type"], str) else None
    return str if "string" in word else enumerate if "enum" in word else dict


def _typed(value: Any, kind: type, inner: type | None, label: Any) -> bool:
    """Whether a value is of the schema's type, or of the label's where that is another."""
    given = _truth(value)
    if type(given) is not kind:
        return bool(label != "" and (type(given) is type(label) or label == given))
    if inner is None:
        return True
    if not isinstance(label, Iterable):
        return False
    return any(type(item) is not list or all(_typed(each, inner, None, item) for each in value) for item in label)


def _object_fits(value: Any, label: Any) -> bool:
    """Whether an object has the label's members, each with the label's text in its own."""
    if not isinstance(value, dict) or not isinstance(label, dict) or value.keys() != label.keys():
        return False
    return all(
        _object_fits(_truth(value[key]), wanted) if isinstance(wanted, dict) else str(_plain(wanted)) in str(_plain(_truth(value[key])))
        for key, wanted in label.items()
    )


def _objects_fit(value: list[Any], label: list[Any]) -> bool:
    return len(value) == len(label) and all(_object_fits(have, want) for have, want in zip(value, label, strict=True))


def _plain(value: Any) -> Any:
    """Return a text as it is compared; any other value as it is."""
    return _DROPPED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value


def _truth(value: Any) -> Any:
    """Return the truth value that a text stands for, as upstream takes it; else the value."""
    return value == "true" if isinstance(value, str) and value in ("true", "false") else value
