"""A prompt template as a chat template, so that servers and Transformers show the model what training showed it.

    messages, tools ─ chat_templates/with_tools.jinja ─> messages with our system message and our calls ─┐
    messages        ────────────────────────────────────────────────────────────────────────────────────┴─> the model's own template ─> text

With tools, `apply_chat_template(messages, tools=tools)` is token for token what `ChatTokenizer.encode_prompt` makes of the same prompt, but
for numbers that JSON as it is read there does not give back (1.10 is 1.1). Without tools, the model's own template sees the messages as
they are. A turn that makes calls and brings its reasoning along, as an answer of our server does, is shown as the model wrote it.

The role `developer` is not named in the template: vLLM takes that for a sign that the model's own knows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Final

from toolrl.calls.parse import CALL, END_CALL, END_THINK, THINK
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import NO_ARGUMENTS
from toolrl.data.template import FIELD, HIDDEN, HISTORY_THINK, NAMED, VALUES, PromptTemplate

BEGIN: Final = "{#- The prompt template of toolrl, for requests with tools -#}"
END: Final = "{#- The model's own chat template #}\n"
"""Rendering removes the line break, so the model's own template begins a line, as it did before."""


def with_tools(template: PromptTemplate, chat_template: str) -> str:
    """Return the chat template that shows tools and calls as `template` does, and all else as `chat_template` does.

    `chat_template` is the model's own, or one that was made here before: its first part is then made anew.
    """
    source = (resources.files("toolrl.data") / "chat_templates" / "with_tools.jinja").read_text(encoding="utf-8")
    shown = Template(source).substitute(
        hidden=_listed(HIDDEN),
        values=_listed(VALUES),
        named=_listed(NAMED),
        no_arguments=dumps(NO_ARGUMENTS),
        reasons="true" if template.reasons else "false",
        history_think=dumps(HISTORY_THINK),
        think=THINK,
        end_think=END_THINK,
        call=CALL,
        end_call=END_CALL,
        system=_system(template.text),
    )
    return f"{BEGIN}\n{shown}{END}{plain(chat_template)}"


def plain(chat_template: str) -> str:
    """Return the model's own chat template of one that `with_tools` may have made."""
    return chat_template.partition(END)[2] if chat_template.startswith(BEGIN) else chat_template


def _system(text: str) -> str:
    """Return the system message as a Jinja expression: texts, and between them the macros of the fields."""
    return " ~ ".join(f"toolrl_{part}(tools)" if i % 2 else dumps(part) for i, part in enumerate(FIELD.split(text)))


def _listed(words: Iterable[str]) -> str:
    return dumps(sorted(words))
