"""Calls as data sets write them -> ToolCalls, so that every call of a history is rendered alike later.

Read are call objects in lists (plain or in OpenAI's envelope, arguments as an object or as JSON text), and `<tool_call>` blocks inside
the text of an assistant turn: several blocks, and in each an object, several objects, or a list of them, as JSON or as Python prints it.
"""

from __future__ import annotations

import re

from toolrl.data.formats.literals import read_literal
from toolrl.data.jsontext import dumps, loads, loads_at
from toolrl.errors import DataError
from toolrl.types import AcceptedCall, Json, Message, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_THINK = re.compile(r"</?think>")
_SPACE = re.compile(r"[\s,]*")


def read_calls(value: Json, where: str) -> tuple[ToolCall, ...]:
    """Return the calls of a JSON list. Raises DataError with the place `where` in the row."""
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list of calls, got {dumps(value)[:80]}; write [] where no tool fits")
    return tuple(_call(item, f"{where}[{i}]") for i, item in enumerate(value))


def read_accepted(call: Json, where: str) -> AcceptedCall:
    """Return one call of a ground truth, `{function: {argument: [values]}}`. Raises DataError with the place `where`."""
    if isinstance(call, dict) and len(call) == 1:
        ((name, values),) = call.items()
        if isinstance(values, dict) and all(isinstance(each, list) for each in values.values()):
            return AcceptedCall(name, {argument: tuple(each) for argument, each in values.items()})
    raise DataError(f"{where}: expected {{function: {{argument: [values]}}}}, got {dumps(call)[:80]}; mend the answer")


def split_turn(text: str, where: str) -> Message:
    """Return an assistant turn with the `<tool_call>` blocks of its text as calls and the rest, without think tags, as content.

    A turn without a block stays as it is. Raises DataError where a block cannot be read.
    """
    if OPEN not in text:
        return Message("assistant", text)
    rest, calls, position = "", list[ToolCall](), 0
    while (start := text.find(OPEN, position)) >= 0:
        rest += text[position:start]
        values, position = read_block(text, start + len(OPEN), CLOSE, where)
        calls += read_calls(values, f"{where}.content")
    rest += text[position:]
    return Message("assistant", _THINK.sub("", rest).strip(), tuple(calls))


def read_block(text: str, position: int, closing: str, where: str) -> tuple[list[Json], int]:
    """Return the values from `position` up to `closing` ("": the end), lists flattened, and where the text goes on.

    Values are JSON, or what Python prints for it. Raises DataError with the place `where`.
    """
    values: list[Json] = []
    start = position
    try:
        while not _closed(text, position := _SPACE.match(text, position).end(), closing):  # type: ignore[union-attr]
            value, position = _value(text, position)
            values += value if isinstance(value, list) else [value]
    except DataError as error:
        got = repr(text[start : start + 60])
        raise DataError(f"{where}: expected JSON up to {closing or 'the end'} ({error}): {got}; mend or remove the row") from error
    return values, position + len(closing)


def _closed(text: str, position: int, closing: str) -> bool:
    return text.startswith(closing, position) if closing else position == len(text)


def _value(text: str, position: int) -> tuple[Json, int]:
    try:
        return loads_at(text, position)
    except ValueError as error:
        if "'" not in text[position:] or "name" not in text:
            raise DataError(str(error)) from error
    return read_literal(text, position)


def _call(value: Json, where: str) -> ToolCall:
    inner = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise DataError(f"{where}: expected {{name, arguments}}, got {dumps(value)[:80]}; mend the call")
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments or "{}")
        except ValueError as error:
            raise DataError(f"{where}.arguments: expected JSON text, got {arguments[:80]!r} ({error}); mend the call") from error
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise DataError(f"{where}.arguments: expected an object, got {dumps(arguments)[:80]}; mend the call")
    return ToolCall(inner["name"], arguments)
