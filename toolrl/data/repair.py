"""Labels that contradict their own schema, mended where there is only one thing they can mean.

    reference ─ breaches of its schema ─ the one certain reading of each ─> reference that fits, and what was done

| kind | from | to | where |
|---|---|---|---|
| quoted_number | `"3"`, `"3.50"` | `3`, `3.50` digit by digit | the schema says number or integer, the text is a JSON number |
| quoted_boolean | `"true"`, `"True"` | `true` | the schema says boolean |
| quoted_json | `"[1, 2]"`, `"{'a': 1}"` | `[1, 2]`, `{"a": 1}` | the schema says array or object, and the text is one in JSON or Python |
| integral_fraction | `3.0` | `3` | the schema says integer, and not number |
| choice_spelling | `"celsius "` | `"Celsius"` | exactly one choice of the enum differs in nothing but case and space |
| number_as_text | `500` | `"500"` | the schema says string, and the conversation holds these very digits as a word of their own |
| null_left_out | `null` | left out | the argument, or the member of an object, is optional and may not be null |
| default_left_out | `"dontcare"` | left out | it is the stated default of an optional argument, and does not fit its schema either |

All else stays, to be dropped: `"3 km"`, `""`, `"0x3"`, `"１"` for a number; `1` for true; a number for a string that nobody said, since
1 may stand for "1", "1.0" or "01". A value that fits its schema is never touched but for an integer's `.0`, which no model would write.
Reading goes on inside what was mended (a list of numbers in quotes, itself in quotes). Mending twice is mending once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

from toolrl.calls.schema import ABSENT, Place
from toolrl.data.formats.literals import read_literal
from toolrl.data.jsontext import dumps, loads
from toolrl.data.labels import Breach, Contradiction, breaches, contradiction, place
from toolrl.errors import DataError
from toolrl.types import AcceptedCall, Json, Message, Prompt, Tool, ToolCall

QUOTED_NUMBER, QUOTED_BOOLEAN, QUOTED_JSON = "quoted_number", "quoted_boolean", "quoted_json"
INTEGRAL_FRACTION, CHOICE_SPELLING = "integral_fraction", "choice_spelling"
NUMBER_AS_TEXT, NULL_LEFT_OUT, DEFAULT_LEFT_OUT = "number_as_text", "null_left_out", "default_left_out"
KINDS: Final = (
    QUOTED_NUMBER, QUOTED_BOOLEAN, QUOTED_JSON, INTEGRAL_FRACTION, CHOICE_SPELLING, NUMBER_AS_TEXT, NULL_LEFT_OUT, DEFAULT_LEFT_OUT
)  # fmt: skip

MAX_ROUNDS = 8
"""How many layers of quotes are opened."""
LEFT_OUT: Final = ""
"""Among the accepted values of an argument: it may be left out."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NESTED = {"array": list, "object": dict}
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


class Repair(NamedTuple):
    """One value that was mended."""

    kind: str
    detail: str
    """Where, and before -> after: `[0].arguments.page: "1" -> 1`."""


class _Fix(NamedTuple):
    kind: str
    value: Json
    """ABSENT: leave it out."""


class Mended(NamedTuple):
    """A prompt after repair."""

    prompt: Prompt
    """The prompt itself where nothing was mended, or not all that had to be: a label is right as a whole or not at all."""
    repairs: tuple[Repair, ...]
    fault: Contradiction | None
    """What of the reference could not be mended."""


def repaired(prompt: Prompt) -> Mended:
    """Return the prompt with every certain repair of its reference and accepted values."""
    made: list[Repair] = []
    calls = prompt.reference
    if contradiction(calls, prompt.tools) is not None:
        calls = tuple(_call(call, prompt, f"[{i}].arguments", made) for i, call in enumerate(calls))
        if (fault := contradiction(calls, prompt.tools)) is not None:
            return Mended(prompt, (), fault)
    calls = tuple(_integers(call, prompt.tools, f"[{i}].arguments", made) for i, call in enumerate(calls))
    accepted = tuple(_accepted(call, prompt, f"accepted[{i}]", made) for i, call in enumerate(prompt.accepted))
    return Mended(replace(prompt, reference=calls, accepted=accepted) if made else prompt, tuple(made), None)


def _call(call: ToolCall, prompt: Prompt, path: str, made: list[Repair]) -> ToolCall:
    """Return the call mended for the first tool of its name that then takes it; or else as near as it comes to the first."""
    found = [(tool, *_mend(call.arguments, tool, prompt.messages, path)) for tool in prompt.tools if tool.name == call.name]
    takes = (each for each in found if contradiction((ToolCall(call.name, each[1]),), each[:1]) is None)
    _, arguments, repairs = next(takes, found[0] if found else (None, call.arguments, ()))
    made += repairs
    return ToolCall(call.name, arguments)


def _integers(call: ToolCall, tools: Sequence[Tool], path: str, made: list[Repair]) -> ToolCall:
    """Return a call that fits, written with plain integers where the tool that takes it says so."""
    if not any(map(_holds_fraction, call.arguments.values())):  # nearly every call
        return call
    taken_by = next(tool for tool in tools if tool.name == call.name and contradiction((call,), (tool,)) is None)
    return ToolCall(call.name, _whole(call.arguments, Place(taken_by.parameters), path, made))


def _accepted(call: AcceptedCall, prompt: Prompt, path: str, made: list[Repair]) -> AcceptedCall:
    """Return the accepted values, each mended by itself, no value twice."""
    tool = next((tool for tool in prompt.tools if tool.name == call.name), None)
    if tool is None:
        return call
    values, before = {}, len(made)
    for name, given in call.values.items():
        mended = [each for value in given for each in _values(name, value, tool, prompt.messages, path, made)]
        values[name] = tuple({dumps(value): value for value in mended}.values())
    return AcceptedCall(call.name, values) if len(made) > before else call


def _values(name: str, value: Json, tool: Tool, messages: Sequence[Message], path: str, made: list[Repair]) -> Sequence[Json]:
    """Return what stands for one accepted value: where it may be left out because it is the default, it may still be given."""
    if value == LEFT_OUT:
        return (value,)
    root = Place(tool.parameters)
    arguments, found = _mend({name: value}, tool, messages, path)
    made += found
    if name in arguments:
        return (_whole(arguments[name], root.member(name), f"{path}.{name}", made),)
    return (value, LEFT_OUT) if _is_default(value, root, name) else (LEFT_OUT,)


def _mend(given: Mapping[str, Json], tool: Tool, messages: Sequence[Message], path: str) -> tuple[Mapping[str, Json], list[Repair]]:
    """Return arguments with all certain repairs made, and the repairs."""
    arguments, made, root = given, list[Repair](), Place(tool.parameters)
    for _ in range(MAX_ROUNDS):
        fixes = {breach.path: (breach.got, fix) for breach in breaches(arguments, tool) if (fix := _fix(breach, root, messages))}
        if not fixes:
            break
        arguments = deepcopy(dict(arguments))
        for parts, (got, fix) in fixes.items():
            _put(arguments, parts, fix.value)
            after = "left out" if fix.value is ABSENT else dumps(fix.value)[:80]
            made.append(Repair(fix.kind, f"{place(path, parts)}: {dumps(got)[:80]} -> {after}"))
    return arguments, made


def _fix(breach: Breach, root: Place, messages: Sequence[Message]) -> _Fix | None:
    """Return what the value at a breach certainly means, or None."""
    holder = _holder(breach.path, root)
    if breach.got is None:
        return _Fix(NULL_LEFT_OUT, ABSENT) if breach.types and _optional(breach.path, holder) else None
    found = [fix for word in breach.types if (fix := _as_type(breach.got, word, messages))] or _as_choice(breach.got, breach.choices)
    if len({repr(fix) for fix in found}) == 1:
        return found[0]
    return _Fix(DEFAULT_LEFT_OUT, ABSENT) if _optional(breach.path, holder) and _is_default(breach.got, holder, breach.path[-1]) else None


def _as_type(value: Json, word: str, messages: Sequence[Message]) -> _Fix | None:
    if isinstance(value, str):
        return _unquoted(value, word)
    if word == "string" and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _Fix(NUMBER_AS_TEXT, dumps(value)) if _said(dumps(value), messages) else None
    return None


def _unquoted(text: str, word: str) -> _Fix | None:
    if word == "boolean":
        return _Fix(QUOTED_BOOLEAN, _BOOLEANS[text]) if text in _BOOLEANS else None
    if word in ("number", "integer"):
        return _number(text, word)
    if word in _NESTED:
        value = _nested(text)
        return _Fix(QUOTED_JSON, value) if isinstance(value, _NESTED[word]) else None
    return None


def _number(text: str, word: str) -> _Fix | None:
    try:
        value = loads(text) if _NUMBER.fullmatch(text) else None
    except ValueError:  # beyond the caps
        return None
    if value is None or (word == "integer" and value != int(value)):
        return None
    return _Fix(QUOTED_NUMBER, int(value) if word == "integer" else value)


def _nested(text: str) -> Json:
    """Return the list or object that a text is, written as JSON or as Python; None where it is neither."""
    if not text.startswith(("[", "{")):
        return None
    try:
        return loads(text)
    except ValueError:
        pass
    try:
        value, end = read_literal(text)
    except DataError:
        return None
    return value if end == len(text) else None


def _as_choice(value: Json, choices: Sequence[Json]) -> list[_Fix]:
    if not isinstance(value, str):
        return []
    return [_Fix(CHOICE_SPELLING, choice) for choice in choices if isinstance(choice, str) and _plain(choice) == _plain(value)]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _said(number: str, messages: Sequence[Message]) -> bool:
    """Whether the conversation holds the number as a word of its own: 500 is in "$500.", and not in "1,500", "500.25" or "A-500"."""
    word = re.compile(rf"(?<![\w.,+-]){re.escape(number)}(?!\w|[.,:/-]\w)")
    return any(word.search(message.content) for message in messages if message.role != "system")


def _holder(path: tuple[str | int, ...], root: Place) -> Place:
    """Return the place of the object or list whose member `path` leads to."""
    holder = root
    for part in path[:-1]:
        holder = holder.member(part) if isinstance(part, str) else holder.item(part)
    return holder


def _is_default(value: Json, holder: Place, key: str | int) -> bool:
    """Whether the schema states this very value as the default of a member."""
    default = holder.default(key) if isinstance(key, str) else ABSENT
    return default is not ABSENT and dumps(default) == dumps(value)


def _optional(path: tuple[str | int, ...], holder: Place) -> bool:
    """Whether `path` leads to a member of the object `holder` that the schema does not require."""
    required = [name for view in holder.views if isinstance(names := view.get("required"), list) for name in names]
    return bool(path) and isinstance(path[-1], str) and path[-1] not in required


def _put(root: Any, parts: tuple[str | int, ...], value: Json) -> None:
    for part in parts[:-1]:
        root = root[part]
    if value is ABSENT:
        del root[parts[-1]]
    else:
        root[parts[-1]] = value


def _holds_fraction(value: Json) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_fraction, value.values()))
    return any(map(_holds_fraction, value)) if isinstance(value, list | tuple) else isinstance(value, Decimal)


def _whole(value: Any, where: Place, path: str, made: list[Repair]) -> Any:
    """Return the value with a plain integer wherever the schema says integer and the value is one with a fraction of zeros."""
    if isinstance(value, Decimal):
        if where.types.isdisjoint(("integer",)) or "number" in where.types or value != value.to_integral_value():
            return value
        made.append(Repair(INTEGRAL_FRACTION, f"{path}: {dumps(value)} -> {int(value)}"))
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(item, where.member(key), f"{path}.{key}", made) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item, where.item(i), f"{path}[{i}]", made) for i, item in enumerate(value)]
    return value
