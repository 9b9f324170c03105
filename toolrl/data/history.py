"""Calls as data sets write them -> ToolCalls, so that every call of a history is rendered alike later.

Read are call objects in lists (plain or in OpenAI's envelope, arguments as an object or as JSON text), and `<tool_call>` blocks inside
the text of an assistant turn: several blocks, and in each an object, several objects, or a list of them.
"""

from __future__ import annotations

import re

from toolrl.data.jsontext import dumps, loads, loads_at
from toolrl.errors import DataError
from toolrl.types import Json, Message, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_THINK = re.compile(r"</?think>")
_SPACE = re.compile(r"[\s,]*")


def read_calls(value: Json, where: str) -> tuple[ToolCall, ...]:
    """Return the calls of a JSON list. Raises DataError with the place `where` in the row."""
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list of calls, got {dumps(value)[:80]}; write [] where no tool fits")
    return tuple(_call(item, f"{where}[{i}]") for i, item in enumerate(value))


def split_turn(text: str, where: str) -> Message:
    """Return an assistant turn with the `<tool_call>` blocks of its text as calls and the rest, without think tags, as content.

    A turn without a block stays as it is. Raises DataError where a block cannot be read.
    """
    if OPEN not in text:
        return Message("assistant", text)
    rest, calls, position = "", list[ToolCall](), 0
    while (start := text.find(OPEN, position)) >= 0:
        rest += text[position:start]
        values, position = _block(text, start + len(OPEN), where)
        calls += read_calls(values, f"{where}.content")
    rest += text[position:]
    return Message("assistant", _THINK.sub("", rest).strip(), tuple(calls))


def _block(text: str, position: int, where: str) -> tuple[list[Json], int]:
    """Return the JSON values from `position` up to the closing tag, lists flattened, and where the text goes on."""
    values: list[Json] = []
    try:
        while not text.startswith(CLOSE, position := _SPACE.match(text, position).end()):  # type: ignore[union-attr]
            value, position = loads_at(text, position)
            values += value if isinstance(value, list) else [value]
    except ValueError as error:
        raise DataError(
            f"{where}: a <tool_call> block is not JSON ({error}): {text[position : position + 60]!r}; mend or remove the row"
        ) from error
    return values, position + len(CLOSE)


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
