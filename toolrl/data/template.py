"""The one prompt template: what training, distillation and evaluation show the model.

A template is a text file for the system message with one or both fields:

| field | becomes |
|---|---|
| `{tools}` | a JSON object `{"type": "function", "function": {…}}` a line for each tool |
| `{tools_compact}` | a line `name(argument:type, …)` for each tool: for models of a few million parameters |

No other brace means anything. A prompt's own system message follows after a blank line; its turns follow as they are, and those that make
calls in exactly the form the model must produce.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from toolrl.calls.render import render_completion
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import ORIGIN_LANGUAGE, ORIGIN_TYPE
from toolrl.errors import ConfigError
from toolrl.types import Json, Message, Prompt, Tool

HISTORY_THINK = "The request needs a tool, so I call it."
"""Reasoning of a history turn that gives none: the model must not be shown an empty think block."""

_HIDDEN = frozenset({ORIGIN_TYPE, ORIGIN_LANGUAGE})
_VALUES = frozenset({"default", "enum", "const", "examples"})
"""Keywords that hold values, in which a key is no keyword."""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
"""Keywords that hold schemas by name."""
_FIELD = re.compile(r"\{(tools|tools_compact)\}")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The system message with fields for the tools."""

    name: str
    text: str

    @classmethod
    def load(cls, name_or_path: str) -> PromptTemplate:
        """Return a shipped template by name, or one from a file. Raises ConfigError."""
        shipped = {file.name.removesuffix(".txt"): file for file in (resources.files("toolrl.data") / "templates").iterdir()}
        if name_or_path in shipped:
            return cls(name_or_path, shipped[name_or_path].read_text(encoding="utf-8").strip())
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(
                f"prompt template: got {name_or_path!r}; name one of {', '.join(sorted(shipped))}, or a template file that exists"
            )
        try:
            text = path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError as error:
            raise ConfigError(f"prompt template: {path} is not UTF-8 text ({error}); save it as UTF-8") from error
        if not _FIELD.search(text):
            raise ConfigError(f"prompt template: {path} holds neither {{tools}} nor {{tools_compact}}; put one where the tools shall stand")
        return cls(name_or_path, text)

    def render(self, prompt: Prompt) -> list[dict[str, str]]:
        """Return the conversation for a chat template: `{"role", "content"}` a turn, the system message first."""
        lines = {"tools": _json_line, "tools_compact": _compact_line}
        system = _FIELD.sub(lambda found: "\n".join(map(lines[found[1]], prompt.tools)), self.text)
        turns = list(prompt.messages)
        if turns and turns[0].role == "system":
            system = f"{system}\n\n{turns.pop(0).content}"
        return [{"role": "system", "content": system}, *({"role": turn.role, "content": _content(turn)} for turn in turns)]


def _content(turn: Message) -> str:
    return render_completion(turn.tool_calls, turn.content or HISTORY_THINK) if turn.tool_calls else turn.content


def _json_line(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": _shown(tool.parameters)}
    return dumps({"type": "function", "function": function})


def _shown(schema: Json) -> Json:
    """Return a schema without its origin's words; an argument that happens to be called so stays."""
    if isinstance(schema, list):
        return [_shown(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _shown_value(key, value) for key, value in schema.items() if key not in _HIDDEN}


def _shown_value(keyword: str, value: Json) -> Json:
    if keyword in _VALUES:
        return value
    if keyword in _NAMED and isinstance(value, Mapping):
        return {name: _shown(schema) for name, schema in value.items()}
    return _shown(value)


def _compact_line(tool: Tool) -> str:
    properties = tool.parameters.get("properties")
    arguments = properties.items() if isinstance(properties, Mapping) else ()
    return f"{tool.name}({', '.join(f'{name}:{_compact_type(spec)}' for name, spec in arguments)})"


def _compact_type(spec: Any) -> str:
    """Return an argument's type in a word, or its choices: `unit:metric|imperial`."""
    if not isinstance(spec, Mapping):
        return "any"
    if isinstance(choices := spec.get("enum"), list | tuple):
        return "|".join(choice if isinstance(choice, str) else dumps(choice) for choice in choices)
    kind = spec.get("type", "any")
    return kind if isinstance(kind, str) else "|".join(map(str, kind))
