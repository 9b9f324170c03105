"""The one prompt template: what training, distillation and evaluation show the model.

A template is one text file, `prompt.template` in the folders that toolrl writes: the system message, with one or both fields, and, if the
file goes on after a line `%% chat template`, a Jinja chat template that takes the place of the tokenizer's own.

| field | becomes |
|---|---|
| `{tools}` | a JSON object `{"type": "function", "function": {…}}` a line for each tool |
| `{tools_compact}` | a line `name(argument:type, …)` for each tool: for models of a few million parameters |

No other brace means anything. A prompt's own system message follows after a blank line; its turns follow as they are, and those that make
calls in exactly the form the model must produce: with reasoning before them, unless the template describes the block of calls and no
reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from toolrl.calls.parse import CALL, THINK
from toolrl.calls.render import render_calls, render_completion
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import ORIGIN_LANGUAGE, ORIGIN_TYPE
from toolrl.errors import ConfigError
from toolrl.types import Json, Message, Prompt, Tool

FILE_NAME = "prompt.template"
SUFFIX = ".template"
DEFAULT = "tool_n1"
MARK = "%% chat template"
"""The line after which the rest of the file is a chat template."""
HISTORY_THINK = "The request needs a tool, so I call it."
"""Reasoning of a history turn that gives none: the model must not be shown an empty think block."""

HIDDEN = frozenset({ORIGIN_TYPE, ORIGIN_LANGUAGE})
"""Keywords of a schema that the model is not shown."""
VALUES = frozenset({"default", "enum", "const", "examples"})
"""Keywords that hold values, in which a key is no keyword."""
NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
"""Keywords that hold schemas by name."""
FIELD = re.compile(r"\{(tools|tools_compact)\}")
"""A field of the system message."""
_MARK_LINE = re.compile(rf"^[ \t]*{MARK}[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The system message with fields for the tools, and the chat template if it is not the tokenizer's."""

    name: str
    text: str
    """The system message."""
    chat: str = ""
    """A chat template in Jinja; empty: the tokenizer's own."""

    @classmethod
    def load(cls, name_or_path: str, *, model_path: str = "") -> PromptTemplate:
        """Return a shipped template by name, or one from a file or from a folder that holds a `prompt.template`.

        An empty name is the one that lies beside the model in `model_path`, else `tool_n1`. Raises ConfigError.
        """
        if not name_or_path:
            beside = Path(model_path) / FILE_NAME
            name_or_path = str(beside) if model_path and beside.is_file() else DEFAULT
        shipped = {file.name.removesuffix(SUFFIX): file for file in (resources.files("toolrl.data") / "templates").iterdir()}
        if name_or_path in shipped:
            return cls._parsed(name_or_path, shipped[name_or_path].read_text(encoding="utf-8"))
        path = Path(name_or_path)
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            raise ConfigError(
                f"prompt template: got {name_or_path!r}; name one of {', '.join(sorted(shipped))}, or a template file that exists"
            )
        try:
            template = cls._parsed(name_or_path, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise ConfigError(f"prompt template: {path} is not UTF-8 text ({error}); save it as UTF-8") from error
        if not FIELD.search(template.text):
            raise ConfigError(f"prompt template: {path} holds neither {{tools}} nor {{tools_compact}}; put one where the tools shall stand")
        return template

    @classmethod
    def _parsed(cls, name: str, source: str) -> PromptTemplate:
        system, *chat = _MARK_LINE.split(source, maxsplit=1)
        return cls(name, system.strip(), "".join(chat).strip())

    @property
    def reasons(self) -> bool:
        """Whether the model is to reason before it calls. A template that says nothing of the form leaves that to what it is trained on."""
        return THINK in self.text or CALL not in self.text

    @property
    def source(self) -> str:
        """The content of the file, which `load` reads back."""
        return self.text + "\n" + (f"{MARK}\n{self.chat}\n" if self.chat else "")

    def write(self, folder: Path) -> None:
        """Put the template beside a model, and its chat template where Transformers and vLLM look for one."""
        (folder / FILE_NAME).write_text(self.source, encoding="utf-8")
        if self.chat:
            (folder / "chat_template.jinja").write_text(self.chat, encoding="utf-8")

    def render(self, prompt: Prompt) -> list[dict[str, str]]:
        """Return the conversation for a chat template: `{"role", "content"}` a turn, the system message first."""
        lines = {"tools": _json_line, "tools_compact": _compact_line}
        system = FIELD.sub(lambda found: "\n".join(map(lines[found[1]], prompt.tools)), self.text)
        turns = list(prompt.messages)
        if turns and turns[0].role == "system":
            system = f"{system}\n\n{turns.pop(0).content}"
        return [{"role": "system", "content": system}, *({"role": turn.role, "content": self._content(turn)} for turn in turns)]

    def _content(self, turn: Message) -> str:
        if not turn.tool_calls:
            return turn.content
        return render_completion(turn.tool_calls, turn.content or HISTORY_THINK) if self.reasons else render_calls(turn.tool_calls)


def _json_line(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": _shown(tool.parameters)}
    return dumps({"type": "function", "function": function})


def _shown(schema: Json) -> Json:
    """Return a schema without its origin's words; an argument that happens to be called so stays."""
    if isinstance(schema, list):
        return [_shown(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _shown_value(key, value) for key, value in schema.items() if key not in HIDDEN}


def _shown_value(keyword: str, value: Json) -> Json:
    if keyword in VALUES:
        return value
    if keyword in NAMED and isinstance(value, Mapping):
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
    kind = spec.get("type")
    return "|".join(map(str, kind)) if isinstance(kind, list) else kind if isinstance(kind, str) else "any"
