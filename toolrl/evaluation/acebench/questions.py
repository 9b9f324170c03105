"""ACEBench's files -> questions: the prompt of training, the answers that are right, and what upstream's rules are given.

    data_<category>.json             {"id", "question": "user: …, system: …", "function", "time" or "profile"}
    possible_answer/ of the same     {"id", "ground_truth": {name: arguments} or a list of them}; `name_1`, `name_2`: calls of one name

`system:` lines are what the assistant said; calls among them stand in brackets. The time and the user's profile are a system message, as in
upstream's prompt; the rest of that prompt says how calls are written, which the template of training does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolrl.data.formats.brackets import parse_calls
from toolrl.data.jsonfile import json_rows
from toolrl.data.labels import contradiction
from toolrl.data.schemas import read_tools
from toolrl.errors import DataError
from toolrl.evaluation.acebench.categories import SPECIAL
from toolrl.evaluation.acebench.sentences import INSTRUCTION
from toolrl.evaluation.benchmark import Item
from toolrl.types import Json, Message, Prompt, Tool, ToolCall

SOURCE: Final = "acebench"
ANSWERS: Final = "possible_answer"
_TURN = re.compile(r"^(user|system):", re.MULTILINE)
_NUMBERED = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True)
class Question:
    """An item, with what is right and with the file's own words for upstream's rules."""

    item: Item
    """Its reference is the first of the answers; none where no call is right."""
    answers: tuple[tuple[ToolCall, ...], ...]
    """Calls that are right, each by itself; none where no call is right."""
    row: Mapping[str, Json]
    """The line of the file."""
    truths: tuple[Json, ...]
    """The answers as in the file."""


def read_questions(folder: Path, categories: Sequence[str]) -> tuple[Question, ...]:
    """Return the questions of categories, in the order of their files. Raises DataError with the place."""
    return tuple(question for category in categories for question in _questions(folder, category))


def doubt(question: Question) -> str:
    """Return why a label contradicts the functions on offer, or nothing."""
    found = (contradiction(calls, question.item.prompt.tools) for calls in question.answers)
    return next((f"the label contradicts the schema: {each.path}: {each.detail}" for each in found if each is not None), "")


def _questions(folder: Path, category: str) -> Iterator[Question]:
    name = f"data_{category}.json"
    truths = {row["id"]: row.get("ground_truth") for _, row in _rows(folder / ANSWERS / name)}
    place = ""
    for line, row in _rows(folder / name):
        place = f"{folder / name}:{line}"
        if truths.get(row["id"]) is None:
            raise DataError(f"{place}: {row['id']} has no answer in {ANSWERS}/{name}; give upstream's files of one version")
        try:
            yield _question(row, truths[row["id"]], category)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: not a question of ACEBench ({type(error).__name__} {error}); give upstream's own file") from error
    if not place:
        raise DataError(f"{folder / name}: no questions in it; give upstream's own file")


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not file.is_file():
        raise DataError(f"{file}: no such file; name upstream's folder data_all/data_en, or other categories")
    for line, row in json_rows(file):
        if not isinstance(row, dict):
            raise DataError(f"{file}:{line}: expected an object, got a {type(row).__name__}; give upstream's own file")
        if not isinstance(row.get("id"), str):
            raise DataError(f"{file}:{line}: id: expected a text, got {row.get('id')!r}; give upstream's own file")
        yield line, row


def _question(row: Mapping[str, Json], truth: Json, category: str) -> Question:
    truths = tuple(truth) if isinstance(truth, list) else (truth,)
    for function in row["function"]:
        _require_schema(function)
    tools = read_tools([{**tool, "parameters": tool.get("parameters", tool.get("arguments"))} for tool in row["function"]])
    answers = () if category in SPECIAL else tuple(_calls(each, tools) for each in truths)
    prompt = Prompt(
        id=row["id"],
        source=SOURCE,
        messages=(*_told(row, category), *_turns(row["question"], tools)),
        tools=tools,
        reference=answers[0] if answers else (),
        dialogue=_NUMBERED.sub("", row["id"]) if "multi_turn" in category else row["id"],
    )
    return Question(Item(prompt.id, category, prompt), answers, row, truths)


def _require_schema(function: Mapping[str, Json]) -> None:
    """Raise DataError where the rules could not look up an argument in a function's schema."""
    parameters = function.get("parameters") or {}
    for name, found, kind in (("parameters", parameters, Mapping), *_looked_up(parameters)):
        if not isinstance(found, kind):
            raise DataError(f"{function.get('name')}: {name}: expected a JSON schema, got {str(found)[:60]}; give upstream's own file")


def _looked_up(parameters: Any) -> Iterator[tuple[str, Any, type]]:
    if isinstance(parameters, Mapping):
        members = parameters.get("properties") or {}
        yield "properties", members, Mapping
        yield "required", parameters.get("required") or [], list
        yield from ((name, member, Mapping) for name, member in (members.items() if isinstance(members, Mapping) else ()))


def _calls(truth: Mapping[str, Mapping[str, Json]], tools: Sequence[Tool]) -> tuple[ToolCall, ...]:
    names = {tool.name for tool in tools}
    if odd := [name for name, arguments in truth.items() if not isinstance(arguments, Mapping)]:
        raise DataError(f"its answer {odd[0]!r} has no arguments, but {str(truth[odd[0]])[:60]}; give upstream's own file")
    return tuple(ToolCall(name if name in names else _NUMBERED.sub("", name), arguments) for name, arguments in truth.items())


def _told(row: Mapping[str, Json], category: str) -> tuple[Message, ...]:
    """Return what the model is told besides the conversation, as a system message if there is any."""
    profile = row.get("profile")
    parts = (INSTRUCTION if category in SPECIAL else "", row.get("time") or "", f"The user's profile:\n{profile}" if profile else "")
    text = "\n\n".join(filter(None, parts))
    return (Message("system", text),) if text else ()


def _turns(question: str, tools: Sequence[Tool]) -> Iterator[Message]:
    _, *parts = _TURN.split(question)
    if not parts:
        raise DataError(f"expected lines `user: …`, got {question[:60]!r}; give upstream's own file")
    for role, text in zip(parts[::2], map(str.strip, parts[1::2]), strict=True):
        calls = _said_calls(text, tools) if role == "system" else ()
        yield Message("user", text) if role == "user" else Message("assistant", "" if calls else text, calls)


def _said_calls(text: str, tools: Sequence[Tool]) -> tuple[ToolCall, ...]:
    """Return the calls that an earlier turn is; none where it is anything else, of which nothing needs to be known."""
    try:
        return parse_calls(text, tools)
    except DataError:
        return ()
