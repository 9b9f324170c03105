"""A Prompt -> the row of messages that `chat` reads back as the same Prompt, digit by digit.

Prompt ─ chat_row ─> {id, source, dialogue, messages, tools, answer} ─ jsontext.dumps ─> a line ─ chat_prompt ─> the same Prompt
"""

from __future__ import annotations

from collections.abc import Iterable

from toolrl.data.steps import ASSISTANT
from toolrl.types import Json, Message, Prompt, Tool, ToolCall


def chat_row(prompt: Prompt) -> dict[str, Json]:
    """Return the row of a prompt; it may hold Decimals, so write it with `jsontext.dumps`."""
    messages = list(map(_message, prompt.messages))
    if prompt.reference and prompt.messages and prompt.messages[-1].tool_calls:
        messages.append(_message(Message(ASSISTANT, "", prompt.reference)))  # a last turn with calls is read as the answer
    row = {
        "id": prompt.id,
        "source": prompt.source,
        "dialogue": prompt.dialogue,
        "messages": messages,
        "tools": list(map(_tool, prompt.tools)),
        "answer": _calls(prompt.reference),
    }
    if prompt.accepted:
        row["accepted"] = [{call.name: {name: list(values) for name, values in call.values.items()}} for call in prompt.accepted]
    return row


def _message(turn: Message) -> Json:
    calls = {"tool_calls": _calls(turn.tool_calls)} if turn.tool_calls else {}
    return {"role": turn.role, "content": turn.content, **calls}


def _tool(tool: Tool) -> Json:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _calls(calls: Iterable[ToolCall]) -> list[Json]:
    return [{"name": call.name, "arguments": call.arguments} for call in calls]
