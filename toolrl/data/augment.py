"""Rows changed on purpose, for training alone: tools that fit taken away, names made to say nothing.

    prompt ─ drop_tools? ─ mask_names? ─> prompt

- **drop_tools**: the tools of the reference are no longer offered, and no call is expected. Not where no other tool would be left (a
  choice among none teaches nothing), nor where an earlier turn calls one of them (it was on offer a turn ago).
- **mask_names**: tools become `tool_1 …` and their parameters `parameter_1 …`, in the schemas, the history, the reference and what is
  accepted, and where a tool's result says whose it is (`"name": "…"`); descriptions stay, so they are what the model must read. Names
  inside values stay. Not where a schema speaks of its parameters in other ways than `properties` and `required`, nor where a call has
  arguments its schema does not name: no renaming is sure to be whole.

Which rows: a hash of (seed, kind, id of the prompt), so neither order nor other rows matter, and a larger share only adds rows. The share
is of the rows that can be changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, TypeVar

from toolrl.data.jsontext import dumps
from toolrl.data.schemas import ORIGIN_LANGUAGE, ORIGIN_TYPE
from toolrl.types import AcceptedCall, Json, Message, Prompt, Tool, ToolCall

DROP_TOOLS, MASK_NAMES = "drop_tools", "mask_names"
KINDS: Final = (DROP_TOOLS, MASK_NAMES)

_Value = TypeVar("_Value")
_PLAIN_WORDS = frozenset(
    {"type", "properties", "required", "title", "description", "$schema", "$defs", "definitions", "additionalProperties", ORIGIN_TYPE}
) | {ORIGIN_LANGUAGE}
"""What the schema of a tool's parameters may say and still be renamed."""
_RESULT_NAME = re.compile(r'("name"\s*+:\s*+)("(?:[^"\\]|\\.)*+")')


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Changes a share of the rows."""

    drop_tools: float = 0.0
    mask_names: float = 0.0
    seed: int = 0

    def __call__(self, prompt: Prompt) -> tuple[Prompt, tuple[str, ...]]:
        """Return the prompt as it is trained on, and the kinds of change made to it."""
        made: tuple[str, ...] = ()
        for kind, share, change in ((DROP_TOOLS, self.drop_tools, without_answer), (MASK_NAMES, self.mask_names, masked)):
            if self._chosen(kind, share, prompt.id) and (changed := change(prompt)) is not None:
                prompt, made = changed, (*made, kind)
        return prompt, made

    def _chosen(self, kind: str, share: float, prompt_id: str) -> bool:
        digest = blake2b(f"{self.seed} {kind} {prompt_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < share * 2**64


def without_answer(prompt: Prompt) -> Prompt | None:
    """Return the prompt without the tools of its reference, no call expected; None where it cannot be had."""
    gone = {call.name for call in prompt.reference}
    left = tuple(tool for tool in prompt.tools if tool.name not in gone)
    if not gone or not left or any(call.name in gone for call in _history(prompt)):
        return None
    return replace(prompt, tools=left, reference=(), accepted=())


def masked(prompt: Prompt) -> Prompt | None:
    """Return the prompt under neutral names; None where they cannot be changed everywhere for sure."""
    if not prompt.tools or not all(_is_plain(tool.parameters) for tool in prompt.tools):
        return None
    names = {name: f"tool_{i}" for i, name in enumerate(dict.fromkeys(tool.name for tool in prompt.tools), start=1)}
    parameters = {name: _parameter_names(tool for tool in prompt.tools if tool.name == name) for name in names}
    calls = (*_history(prompt), *prompt.reference)
    given = [(call.name, call.arguments) for call in calls] + [(call.name, call.values) for call in prompt.accepted]
    if any(name not in names or arguments.keys() - parameters[name].keys() for name, arguments in given):
        return None

    def call_of(call: ToolCall) -> ToolCall:
        return ToolCall(names[call.name], _renamed(call.arguments, parameters[call.name]))

    return replace(
        prompt,
        tools=tuple(_masked_tool(tool, names[tool.name], parameters[tool.name]) for tool in prompt.tools),
        messages=tuple(Message(m.role, _masked_text(m, names), tuple(map(call_of, m.tool_calls))) for m in prompt.messages),
        reference=tuple(map(call_of, prompt.reference)),
        accepted=tuple(AcceptedCall(names[call.name], _renamed(call.values, parameters[call.name])) for call in prompt.accepted),
    )


def _history(prompt: Prompt) -> Iterable[ToolCall]:
    return (call for message in prompt.messages for call in message.tool_calls)


def _parameter_names(tools: Iterable[Tool]) -> dict[str, str]:
    """Return the neutral name of every parameter, those of all tools of one name together."""
    known = dict.fromkeys(name for tool in tools for name in tool.parameters.get("properties", ()))
    return {name: f"parameter_{i}" for i, name in enumerate(known, start=1)}


def _is_plain(parameters: Mapping[str, Json]) -> bool:
    required = parameters.get("required", [])
    return (
        parameters.keys() <= _PLAIN_WORDS
        and isinstance(parameters.get("properties", {}), Mapping)
        and isinstance(required, list)
        and all(isinstance(name, str) for name in required)
        and '"#/properties' not in dumps(parameters)
    )


def _masked_text(message: Message, names: Mapping[str, str]) -> str:
    """Return what a turn says; the result of a tool under its neutral name."""
    if message.role != "tool":
        return message.content
    written = {text: dumps(new) for name, new in names.items() for text in (dumps(name), json.dumps(name))}
    return _RESULT_NAME.sub(lambda found: found[1] + written.get(found[2], found[2]), message.content)


def _masked_tool(tool: Tool, name: str, parameters: Mapping[str, str]) -> Tool:
    schema = dict(tool.parameters)
    if "properties" in schema:
        schema["properties"] = _renamed(schema["properties"], parameters)
    if "required" in schema:
        schema["required"] = [parameters.get(each, each) for each in schema["required"]]
    return Tool(name, tool.description, schema)


def _renamed(members: Mapping[str, _Value], names: Mapping[str, str]) -> dict[str, _Value]:
    return {names[name]: value for name, value in members.items()}
