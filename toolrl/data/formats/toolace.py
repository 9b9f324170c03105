"""ToolACE's rows (`Team-ACE/ToolACE`): `system`, a text that holds the tools as JSON, and `conversations` of `{from, value}`.

A turn of the assistant that makes calls is a list in Python's call syntax (`brackets`). The list of tools is found by reading JSON at the
brackets of the text, so no wording around it matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolrl.data.fields import read_list, read_name, read_text
from toolrl.data.formats.brackets import parse_calls
from toolrl.data.formats.turns import clock_lines, read_turns
from toolrl.data.jsontext import loads_at
from toolrl.data.schemas import read_tools
from toolrl.data.steps import ASSISTANT, Dialogue, Origin
from toolrl.errors import DataError
from toolrl.types import Message, Tool

MAX_LISTS = 64
"""Brackets of a system text that are tried for the list of tools."""


def fits(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like ToolACE's."""
    return isinstance(row.get("system"), str) and "conversations" in row


def read(row: Mapping[str, Any], origin: Origin) -> Dialogue:
    """Return the dialogue of a row. Raises DataError without a place."""
    tools, said = split_system(read_text(row, "system"))
    turns = [Message("system", said)] if said else []
    for i, (role, text) in enumerate(read_turns(read_list(row, "conversations"))):
        try:
            calls = parse_calls(text, tools) if role == ASSISTANT else ()
        except DataError as error:
            raise DataError(f"conversations[{i}]: {error}") from error
        turns.append(Message(role, "" if calls else text, calls))
    return Dialogue(id=read_name(row, "id") or origin.id, source=origin.source, turns=tuple(turns), tools=tools)


def split_system(text: str) -> tuple[tuple[Tool, ...], str]:
    """Return the tools of a system text, and what else of it the model is to be told. Raises DataError where it holds no list of tools."""
    at = -1
    for _ in range(MAX_LISTS):
        if (at := text.find("[", at + 1)) < 0:
            break
        try:
            found, end = loads_at(text, at)
        except ValueError:  # a bracket of the words around it
            continue
        if isinstance(found, list) and all(isinstance(tool, dict) for tool in found):
            return read_tools(found), clock_lines(text[:at] + "\n" + text[end:])
    raise DataError(f"`system`: expected a list of tools as JSON in it, got {text[:80]!r}; remove the row")
