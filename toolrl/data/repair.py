"""Labels that contradict their own schema, mended where there is only one thing they can mean.

    reference ─ breaches of its schema ─ `reading` of each ─> reference that fits, and what was done

A value that fits its schema is never touched but for an integer's `.0`, which no model would write. Reading goes on inside what was mended
(a list of numbers in quotes, itself in quotes). A reference is mended as a whole or not at all; mending twice is mending once. The calls of
earlier turns, which show the model what its own must look like, are mended likewise; they are no labels, so they are neither counted nor
a reason to drop anything.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

from toolrl.calls.schema import ABSENT, Place
from toolrl.data.jsontext import dumps
from toolrl.data.labels import Contradiction, breaches, contradiction, place
from toolrl.data.readings import INTEGRAL_FRACTION, is_default, reading
from toolrl.data.schemas import ORIGIN_LANGUAGE
from toolrl.types import AcceptedCall, Json, Message, Prompt, Tool, ToolCall

MAX_ROUNDS = 8
"""How many layers of quotes are opened."""
LEFT_OUT: Final = ""
"""Among the accepted values of an argument: it may be left out."""


class Repair(NamedTuple):
    """One value that was mended."""

    kind: str
    detail: str
    """Where, and before -> after: `[0].arguments.page: "1" -> 1`."""


class Mended(NamedTuple):
    """A prompt after repair."""

    prompt: Prompt
    """The prompt itself where nothing was mended, or not all that had to be: a label is right as a whole or not at all."""
    repairs: tuple[Repair, ...]
    """Those of the reference and the accepted values."""
    fault: Contradiction | None
    """What of the reference could not be mended."""


def repaired(prompt: Prompt) -> Mended:
    """Return the prompt with every certain repair of its reference, accepted values and earlier calls."""
    calls, made, fault = _calls(prompt.reference, prompt)
    if fault is not None:
        return Mended(prompt, (), fault)
    accepted = tuple(_accepted(call, prompt, f"accepted[{i}]", made) for i, call in enumerate(prompt.accepted))
    mended = replace(prompt, reference=calls, accepted=accepted) if made else prompt
    return Mended(_with_history(mended), tuple(made), None)


def _calls(calls: tuple[ToolCall, ...], prompt: Prompt) -> tuple[tuple[ToolCall, ...], list[Repair], Contradiction | None]:
    """Return the calls of one answer to the prompt mended, the repairs, and what could not be mended."""
    made: list[Repair] = []
    if contradiction(calls, prompt.tools) is not None:
        calls = tuple(_call(call, prompt, f"[{i}].arguments", made) for i, call in enumerate(calls))
        if (fault := contradiction(calls, prompt.tools)) is not None:
            return calls, made, fault
    return tuple(_integers(call, prompt.tools, f"[{i}].arguments", made) for i, call in enumerate(calls)), made, None


def _with_history(prompt: Prompt) -> Prompt:
    """Return the prompt with the calls of each earlier turn as they read where they are the label, if they can be mended."""
    turns = list(prompt.messages)
    for i, turn in enumerate(turns):
        if turn.tool_calls:
            calls, made, fault = _calls(turn.tool_calls, replace(prompt, messages=prompt.messages[:i]))
            if made and fault is None:
                turns[i] = replace(turn, tool_calls=calls)
    return prompt if all(map(operator.is_, turns, prompt.messages)) else replace(prompt, messages=tuple(turns))


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
    """Return the accepted values, each mended by itself, no value twice.

    Those of another language stay: there the schema shows the model text, and BFCL's checker asks for what the text says.
    """
    tool = next((tool for tool in prompt.tools if tool.name == call.name), None)
    if tool is None or ORIGIN_LANGUAGE in tool.parameters:
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
    return (value, LEFT_OUT) if is_default(value, root, name) else (LEFT_OUT,)


def _mend(given: Mapping[str, Json], tool: Tool, messages: Sequence[Message], path: str) -> tuple[Mapping[str, Json], list[Repair]]:
    """Return arguments with all certain repairs made, and the repairs."""
    arguments, made, root = given, list[Repair](), Place(tool.parameters)
    for _ in range(MAX_ROUNDS):
        fixes = {breach.path: (breach.got, fix) for breach in breaches(arguments, tool) if (fix := reading(breach, root, messages))}
        if not fixes:
            break
        arguments = deepcopy(dict(arguments))
        for parts, (got, fix) in fixes.items():
            _put(arguments, parts, fix.value)
            after = "left out" if fix.value is ABSENT else dumps(fix.value)[:80]
            made.append(Repair(fix.kind, f"{place(path, parts)}: {dumps(got)[:80]} -> {after}"))
    return arguments, made


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
