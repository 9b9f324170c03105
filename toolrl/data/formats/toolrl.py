"""ToolRL's rows (rlla): a system text that lists the tools, a user text that holds the whole dialogue in tags, and the right answer.

    system   1. Name: temperature ⏎ Description: Of a city. ⏎ Parameters: {"city": {"description": …, "type": …, "default": …}}
    user     <user> … </user>  <think> … </think> <tool_call> … </tool_call> <response> … </response>  <obs> … </obs>  <user> … </user>
    answer   <think> … </think> <tool_call> {"name": …, "parameters": {…}} a line </tool_call>, or <response> … </response>

Rows are `{prompt: [{role, content}], reward_model: {ground_truth}}`, or raw `{instruction, input, output}`. Every parameter has a default,
nearly always the placeholder "", so nothing tells which are required: none is, and a placeholder is no default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from toolrl.data.fields import read_list, read_name, read_text
from toolrl.data.formats.literals import read_literal
from toolrl.data.formats.xlam import flat_tools
from toolrl.data.history import CLOSE, OPEN, split_turn
from toolrl.data.jsontext import dumps, loads_at
from toolrl.data.steps import ASSISTANT, Dialogue, Origin
from toolrl.errors import DataError
from toolrl.types import Json, Message, Tool

_TAGS = ("user", "obs", "think", "tool_call", "response")
_TAG = re.compile(rf"<({'|'.join(_TAGS)})>")
_ENTRY = re.compile(r"^[ \t]*\d+\.[ \t]*\**Name:[ \t]*", re.MULTILINE)
_DESCRIPTION, _PARAMETERS = "\nDescription:", "\nParameters:"
_END = "**Steps for Each Turn**"


def fits(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like ToolRL's."""
    return ("prompt" in row and "reward_model" in row) or all(key in row for key in ("instruction", "input", "output"))


def read(row: Mapping[str, Any], origin: Origin) -> Dialogue:
    """Return the one step of a row. Raises DataError without a place."""
    system, user, answer = _texts(row)
    reply = _reply(_blocks(answer), "the answer")
    return Dialogue(
        id=read_name(row, "id") or origin.id,
        source=read_name(row, "data_source") or origin.source,
        turns=tuple(_turns(user)),
        tools=read_entries(system),
        reference=reply.tool_calls,
    )


def _texts(row: Mapping[str, Any]) -> tuple[str, str, str]:
    if "prompt" not in row:
        return read_text(row, "instruction"), read_text(row, "input"), read_text(row, "output")
    by_role = {str(turn.get("role")): turn for turn in read_list(row, "prompt") if isinstance(turn, dict)}
    model = row.get("reward_model")
    if not isinstance(model, dict) or not {"system", "user"} <= by_role.keys():
        got = dumps(dict(row))[:80]
        raise DataError(f"expected a `prompt` of a system and a user turn and `reward_model.ground_truth`, got {got}; remove the row")
    return read_text(by_role["system"], "content"), read_text(by_role["user"], "content"), read_text(model, "ground_truth")


def read_entries(system: str) -> tuple[Tool, ...]:
    """Return the tools that a system text lists. Raises DataError where an entry cannot be read."""
    system = system.partition(_END)[0]
    starts = [found.end() for found in _ENTRY.finditer(system)]
    return flat_tools([_entry(system, start) for start in starts])


def _entry(system: str, start: int) -> Json:
    described = system.find(_DESCRIPTION, start)
    listed = system.find(_PARAMETERS, start)
    if not start <= described < listed:
        raise DataError(f"the tool {system[start : start + 40]!r}: expected its description and parameters, got none; remove the row")
    parameters = _value(system, listed + len(_PARAMETERS))
    if not isinstance(parameters, dict | None):
        raise DataError(f"the tool {system[start : start + 40]!r}: expected an object of parameters; remove the row")
    for spec in (parameters or {}).values():
        if isinstance(spec, dict) and spec.setdefault("default", "") == "":
            spec["default"] = None  # a placeholder: left out, and the argument is optional
    return {
        "name": system[start:described].strip().rstrip("*"),
        "description": system[described + len(_DESCRIPTION) : listed].strip(),
        "parameters": parameters,
    }


def _value(text: str, at: int) -> Json:
    at += len(text) - at - len(text[at:].lstrip())
    try:
        return loads_at(text, at)[0]
    except ValueError:
        return read_literal(text, at)[0]


def _turns(user: str) -> list[Message]:
    """Return the turns that a dialogue in tags holds; a text without tags is what the user says."""
    turns: list[Message] = []
    reply: list[tuple[str, str]] = []
    for tag, body in [*_blocks(user), ("", "")]:
        if reply and (tag not in _TAGS[2:] or (tag == "think" and reply[-1][0] != "think")):
            turns.append(_reply(reply, f"turn {len(turns)}"))
            reply = []
        if tag in ("user", "obs"):
            turns.append(Message("user" if tag == "user" else "tool", body))
        elif tag:
            reply.append((tag, body))
    return turns or [Message("user", user.strip())]


def _reply(blocks: list[tuple[str, str]], where: str) -> Message:
    """Return one turn of the assistant: its calls with the reasoning, or its reasoning and what it says."""
    text = {tag: "\n".join(body for each, body in blocks if each == tag) for tag in _TAGS[2:]}
    think = f"<think>{text['think']}</think>\n" if text["think"] else ""
    if not text["tool_call"]:
        return Message(ASSISTANT, think + text["response"])
    return split_turn(f"{think}{text['response']}\n{OPEN}{text['tool_call']}{CLOSE}", where)


def _blocks(text: str) -> list[tuple[str, str]]:
    """Return tag and content of each block in turn; one that does not end goes on to the next that begins."""
    found: list[tuple[str, str]] = []
    at = 0
    while opened := _TAG.search(text, at):
        end = text.find(f"</{opened[1]}>", opened.end())
        if end < 0:
            raise DataError(f"character {opened.start()}: expected </{opened[1]}> after <{opened[1]}>, got none; remove the row")
        found.append((opened[1], text[opened.end() : end].strip()))
        at = end + len(opened[1]) + 3
    return found
