"""A row of messages, tools and reference calls -> a Prompt.

What is the reference:
- `reference`, or else `answer`, where the row has one: a list of calls, empty where no tool fits;
- otherwise the last assistant turn that makes calls; what follows it is left out;
- otherwise (no turn makes calls) the last turn, if it is the assistant's plain answer: then no tool fits.

The prompt is what stands before the reference. A last turn that makes calls is the answer and never context, also where the row spells
out its reference. Calls and tools may be plain (`{name, arguments}`) or in OpenAI's envelope (`{"type": "function", "function": {…}}`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolrl.data.fingerprint import opening
from toolrl.data.history import read_calls, split_turn
from toolrl.data.jsontext import dumps
from toolrl.errors import DataError
from toolrl.types import Json, Message, Prompt, Tool, ToolCall

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}
"""Role words and what they mean here."""


def chat_prompt(row: Mapping[str, Any], *, default_id: str, default_source: str) -> Prompt:
    """Return the prompt of a row with `messages`. Raises DataError with what was got and what to do."""
    turns = tuple(_message(turn, f"messages[{i}]") for i, turn in enumerate(_list(row, "messages")))
    tools = tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(_list(row, "tools")))
    messages, reference = _cut(row, turns)
    if not any(message.role == "user" for message in messages):
        raise DataError("expected a user turn before the answer, got none; remove the row")
    return Prompt(
        id=_name(row, "id") or default_id,
        source=_name(row, "source") or default_source,
        messages=messages,
        tools=tools,
        reference=reference,
        dialogue=_name(row, "dialogue") or opening(messages, tools),
    )


def _cut(row: Mapping[str, Any], turns: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[ToolCall, ...]]:
    """Return the turns before the reference, and the reference."""
    for key in ("reference", "answer"):
        if key in row:
            calls = read_calls(row[key], key)
            return (turns[:-1] if turns and turns[-1].tool_calls else turns), calls
    for last in range(len(turns) - 1, -1, -1):
        if turns[last].tool_calls:
            return turns[:last], turns[last].tool_calls
    if turns and turns[-1].role == "assistant":
        return turns[:-1], ()
    raise DataError("expected `answer`, `reference` or an assistant turn to answer with, got none; add `answer`, [] where no tool fits")


def _message(turn: Json, where: str) -> Message:
    if not isinstance(turn, dict) or turn.get("role") not in ROLES:
        got = repr(turn["role"]) if isinstance(turn, dict) and "role" in turn else dumps(turn)[:80]
        raise DataError(f"{where}: expected an object with a `role` of {', '.join(ROLES)}, got {got}; rename the role")
    role = ROLES[turn["role"]]
    content = _text(turn.get("content"), role, where)
    if role != "assistant":
        return Message(role, content)
    if turn.get("tool_calls"):
        return Message(role, content, read_calls(turn["tool_calls"], f"{where}.tool_calls"))
    return split_turn(content, where)


def _text(content: Json, role: str, where: str) -> str:
    """Return a turn's text: a string, null, OpenAI's list of text parts, or any JSON value as the result of a tool."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
        return "\n".join(part["text"] for part in content)
    if role == "tool":
        return dumps(content)
    raise DataError(f"{where}.content: expected text, got {dumps(content)[:80]}; only text can be trained on")


def _tool(tool: Json, where: str) -> Tool:
    inner = tool.get("function", tool) if isinstance(tool, dict) else tool
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"]:
        raise DataError(f"{where}: expected {{name, description, parameters}}, got {dumps(tool)[:80]}; name the tool")
    parameters = inner.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise DataError(f"{where}.parameters: expected a JSON schema, got {dumps(parameters)[:80]}; write the schema as an object")
    return Tool(inner["name"], str(inner.get("description") or ""), parameters)


def _list(row: Mapping[str, Any], key: str) -> list[Json]:
    value = row.get(key)
    if isinstance(value, list):
        return value
    raise DataError(f"`{key}`: expected a list, got {dumps(value)[:80] if key in row else 'nothing'}; add it, [] if there are none")


def _name(row: Mapping[str, Any], key: str) -> str:
    """Return a name the row gives, or "" where it gives none."""
    value = row.get(key)
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return "" if value is None else str(value)
    raise DataError(f"`{key}`: expected text, got {dumps(value)[:80]}; write it in quotes or leave it out")
