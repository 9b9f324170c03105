"""A dialogue -> single-step prompts: one for each turn of the assistant, with everything before it as context.

    user  assistant f(…)  tool  assistant "21."  user  assistant g(…)
          └ row#1: f(…)         └ row#2: no call       └ row#3: g(…)

A plain answer is a step with an empty reference: the right thing there is to make no call. One that the assistant itself continues
("Let me look." and then a call) is no decision and so no step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolrl.data.fingerprint import opening
from toolrl.errors import DataError
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a row is called where it does not say, and the file it stands in."""

    id: str
    source: str
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A row as its format tells it."""

    id: str
    source: str
    turns: tuple[Message, ...]
    tools: tuple[Tool, ...]
    reference: tuple[ToolCall, ...] | None = None
    """The answer to all turns, where the row spells it out: then the dialogue is this one step."""
    accepted: tuple[AcceptedCall, ...] = ()
    name: str = ""
    """What its steps are named by in a split; empty: by how it begins."""


def steps(dialogue: Dialogue) -> tuple[Prompt, ...]:
    """Return the prompts of a dialogue, named `row` where there is one and `row#1`, `row#2`, … where there are several.

    Raises DataError where there is nothing to answer, or nothing that asks for it.
    """
    cuts = [(dialogue.turns, dialogue.reference)] if dialogue.reference is not None else list(_cuts(dialogue.turns))
    if not cuts:
        raise DataError("expected a turn of the assistant to answer with, got none; add `answer`, [] where no tool fits, or remove the row")
    if not any(turn.role == "user" for turn in cuts[0][0]):
        raise DataError("expected a user turn before the answer, got none; remove the row")
    name = dialogue.name or opening(dialogue.turns, dialogue.tools)
    return tuple(
        Prompt(
            id=dialogue.id if len(cuts) == 1 else f"{dialogue.id}#{number}",
            source=dialogue.source,
            messages=turns,
            tools=dialogue.tools,
            reference=reference,
            dialogue=name,
            accepted=dialogue.accepted,
        )
        for number, (turns, reference) in enumerate(cuts, start=1)
    )


def trained_steps(prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    """Return the steps of one row that make calls, or where none does the last: what is trained on where nobody asks for more."""
    return tuple(prompt for prompt in prompts if prompt.reference) or prompts[-1:]


def is_multi_turn(prompts: tuple[Prompt, ...]) -> bool:
    """Whether the assistant has spoken before the last of a row's steps."""
    return bool(prompts) and any(turn.role == ASSISTANT for turn in prompts[-1].messages)


def _cuts(turns: tuple[Message, ...]) -> Iterator[tuple[tuple[Message, ...], tuple[ToolCall, ...]]]:
    asked = False
    for i, turn in enumerate(turns):
        asked = asked or turn.role == "user"
        continued = i + 1 < len(turns) and turns[i + 1].role == ASSISTANT
        if asked and turn.role == ASSISTANT and (turn.tool_calls or not continued):
            yield turns[:i], turn.tool_calls
