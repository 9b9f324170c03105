"""Hermes and ShareGPT dialogues: `conversations` of `{from, value}`, calls as JSON in `<tool_call>` blocks or in turns of their own.

The tools stand in a column `tools`, or in the system text between `<tools>` and `</tools>`: a list, or one object after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolrl.data.fields import read_list, read_name
from toolrl.data.formats.turns import CALLING, clock_lines, read_turns
from toolrl.data.history import OPEN, read_block, read_calls, split_turn
from toolrl.data.schemas import read_tools
from toolrl.data.steps import ASSISTANT, Dialogue, Origin
from toolrl.errors import DataError
from toolrl.types import Json, Message, Tool

TOOLS, TOOLS_END = "<tools>", "</tools>"
RESPONSE, RESPONSE_END = "<tool_response>", "</tool_response>"


def fits(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like a Hermes dialogue: not like ToolACE's, which have neither a column of tools nor tags."""
    turns = row.get("conversations")
    if not isinstance(turns, list):
        return False
    return "tools" in row or not isinstance(row.get("system"), str) or TOOLS in row["system"]


def read(row: Mapping[str, Any], origin: Origin) -> Dialogue:
    """Return the dialogue of a row. Raises DataError without a place."""
    spoken = read_turns(read_list(row, "conversations"))
    if isinstance(row.get("system"), str) and row["system"].strip():
        spoken.insert(0, ("system", row["system"]))
    turns = [_message(role, text, f"conversations[{i}]") for i, (role, text) in enumerate(spoken)]
    return Dialogue(
        id=read_name(row, "id") or origin.id,
        source=read_name(row, "source") or origin.source,
        turns=tuple(turn for turn in turns if turn.content or turn.tool_calls or turn.role != "system"),
        tools=_tools(row, [text for role, text in spoken if role == "system"]),
    )


def _message(role: str, text: str, where: str) -> Message:
    if role == CALLING:
        return Message(ASSISTANT, "", read_calls(read_block(text, 0, "", where)[0], where))
    if role == ASSISTANT:
        return split_turn(text, where)
    if role == "system" and (TOOLS in text or OPEN in text):
        return Message(role, clock_lines(text))
    if role == "tool":
        results = text.replace(RESPONSE_END, RESPONSE).split(RESPONSE)  # chat templates add their own tags
        return Message(role, "\n".join(result.strip() for result in results if result.strip()))
    return Message(role, text)


def _tools(row: Mapping[str, Any], systems: list[str]) -> tuple[Tool, ...]:
    if row.get("tools"):
        return read_tools(read_list(row, "tools"))
    for text in systems:
        if tools := _block(text):
            return read_tools(tools)
    if "tools" in row:
        return ()
    raise DataError(f"expected a column `tools` or tools between {TOOLS} and {TOOLS_END} in the system text, got neither; remove the row")


def _block(text: str) -> list[Json]:
    """Return the tools between tags; words that only mention the tags hold none."""
    at = text.find(TOOLS)
    while at >= 0:
        at += len(TOOLS)
        if text[at:].lstrip()[:1] in ("[", "{"):
            return read_block(text, at, TOOLS_END, "the system text")[0]
        at = text.find(TOOLS, at)
    return []
