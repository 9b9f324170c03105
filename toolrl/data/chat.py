"""A row of messages, tools and perhaps reference calls -> a Dialogue.

Where the row has a `reference`, or else an `answer` (a list of calls, empty where no tool fits), it is one step: the answer to all
messages. A last turn that makes calls is then the answer and never context, unless it contradicts the row, by which no call is right.
Otherwise every turn of the assistant is a step. A row with a `completion` (the text of an answer to all messages, which supervised
training imitates) is one step too, whoever reads it: where it does not say what is right, its last turn does. `accepted` holds, beside the
answer, all values that are right: `{function: {argument: [values]}}` for each call.

Calls and tools may be plain (`{name, arguments}`) or in OpenAI's envelope (`{"type": "function", "function": {…}}`), and each of the lists
may be JSON text, as tables of columns hold it. OpenAI's former words `functions` and `function_call` are understood too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolrl.data.fields import read_list, read_name
from toolrl.data.history import read_accepted, read_calls, split_turn
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import read_tools
from toolrl.data.steps import ASSISTANT, Dialogue, Origin, steps, trained_steps
from toolrl.errors import DataError
from toolrl.types import Json, Message, Prompt

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}
"""Role words and what they mean here."""


def chat_dialogue(row: Mapping[str, Any], origin: Origin) -> Dialogue:
    """Return the dialogue of a row with `messages`. Raises DataError with what was got and what to do."""
    turns = tuple(read_message(turn, f"messages[{i}]") for i, turn in enumerate(read_list(row, "messages")))
    tools = read_tools(read_list(row, "functions" if "functions" in row and "tools" not in row else "tools"))
    reference = next((read_calls(read_list(row, key, "of calls"), key) for key in ("reference", "answer") if key in row), None)
    if reference is None and "completion" in row:
        if not turns or turns[-1].role != ASSISTANT:
            raise DataError("`answer`: expected the calls that are right, beside `completion`, got nothing; add it, [] where no tool fits")
        turns, reference = turns[:-1], turns[-1].tool_calls
    elif reference and turns and turns[-1].tool_calls:
        turns = turns[:-1]
    accepted = read_list(row, "accepted", "of calls") if "accepted" in row else []
    return Dialogue(
        id=read_name(row, "id") or origin.id,
        source=read_name(row, "source") or origin.source,
        turns=turns,
        tools=tools,
        reference=reference,
        accepted=tuple(read_accepted(call, f"accepted[{i}]") for i, call in enumerate(accepted)),
        name=read_name(row, "dialogue"),
    )


def chat_prompt(row: Mapping[str, Any], *, default_id: str, default_source: str) -> Prompt:
    """Return the last step of a row that makes calls, or where none does its last. Raises DataError."""
    return trained_steps(steps(chat_dialogue(row, Origin(default_id, default_source))))[-1]


def read_message(turn: Json, where: str) -> Message:
    """Return one turn of OpenAI's form. Raises DataError with the place `where`."""
    word = turn.get("role") if isinstance(turn, dict) else None
    if not isinstance(word, str) or word not in ROLES:
        got = repr(turn["role"]) if isinstance(turn, dict) and "role" in turn else dumps(turn)[:80]
        raise DataError(f"{where}: expected an object with a `role` of {', '.join(ROLES)}, got {got}; rename the role")
    role = ROLES[word]
    content = _text(turn.get("content"), role, where)
    if role != "assistant":
        return Message(role, content)
    if turn.get("tool_calls"):
        return Message(role, content, read_calls(turn["tool_calls"], f"{where}.tool_calls"))
    if turn.get("function_call"):
        return Message(role, content, read_calls([turn["function_call"]], f"{where}.function_call"))
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
