"""BFCL's question files: `{id, question: [turns], function: [tools]}` a line, the answers by id in `possible_answer/` beside the file.

An answer lists for each argument the values that are right, "" among them: it may be left out. All become `accepted`; the reference takes
the first of each. Of `irrelevance` rows the right answer is no call. `live_relevance` has no answer, since any call is right there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolrl.data.chat import read_message
from toolrl.data.fields import read_list, read_name
from toolrl.data.formats.foreign import as_text, as_text_schema
from toolrl.data.history import read_accepted
from toolrl.data.jsonfile import json_rows
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import ORIGIN_LANGUAGE, read_tools
from toolrl.data.steps import Dialogue, Origin
from toolrl.errors import DataError, UserError
from toolrl.types import AcceptedCall, Json, Message, Tool, ToolCall

ANSWERS = "possible_answer"

_LANGUAGE = re.compile(r"(?:simple_)?(java|javascript)_\d")


def fits(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like a question of BFCL."""
    return "question" in row and "function" in row


def read(row: Mapping[str, Any], origin: Origin) -> Dialogue:
    """Return the one step of a question. Raises DataError without a place, and UserError where the file of answers is missing."""
    name = read_name(row, "id")
    if not name:
        raise DataError("`id`: expected the name of the question, got nothing; add it")
    tools = read_tools(read_list(row, "function"))
    if language := _LANGUAGE.match(name):
        tools = tuple(replace(tool, parameters=as_text_schema(tool.parameters, language[1])) for tool in tools)
    accepted = tuple(read_accepted(call, f"ground_truth[{i}]") for i, call in enumerate(_truth(row, name, origin.file)))
    return Dialogue(
        id=name,
        source=origin.source,
        turns=_turns(row),
        tools=tools,
        reference=tuple(_reference(call, tools) for call in accepted),
        accepted=accepted,
    )


def _turns(row: Mapping[str, Any]) -> tuple[Message, ...]:
    question = read_list(row, "question")
    if len(question) != 1 or not isinstance(question[0], list):
        raise DataError(f"`question`: expected one list of turns, got {len(question)}; only single-turn categories can be read")
    return tuple(read_message(turn, f"question[0][{i}]") for i, turn in enumerate(question[0]))


def _truth(row: Mapping[str, Any], name: str, file: Path | None) -> list[Json]:
    if "ground_truth" in row:
        return read_list(row, "ground_truth")
    if "irrelevance" in name:
        return []
    if "relevance" in name:
        raise DataError("any call is right here, so there is no reference to train on; use the file for evaluation only")
    answers = _answers(file.parent / ANSWERS / file.name) if file else {}
    if name not in answers:
        raise DataError(f"expected an answer of {name!r} in {ANSWERS}, got none; put the answers of this version beside the questions")
    return answers[name]


@lru_cache(maxsize=4)
def _answers(file: Path) -> Mapping[str, list[Json]]:
    if not file.is_file():
        raise UserError(f"{file}: no such file; put BFCL's {ANSWERS} beside its questions")
    found = {}
    for number, row in json_rows(file):
        if not isinstance(row, dict) or not isinstance(row.get("ground_truth"), list) or not isinstance(row.get("id"), str):
            raise UserError(f"{file}:{number}: expected {{id, ground_truth}}, got {dumps(row)[:80]}; give BFCL's own file")
        found[row["id"]] = row["ground_truth"]
    return found


def _reference(call: AcceptedCall, tools: tuple[Tool, ...]) -> ToolCall:
    parameters = next((tool.parameters for tool in tools if tool.name == call.name), {})
    known, language = parameters.get("properties"), parameters.get(ORIGIN_LANGUAGE)
    known = known if isinstance(known, Mapping) else {}
    values = {name: list(right) for name, right in call.values.items() if name in known or "" not in right}
    arguments = _first(values, parameters.get("required", []))
    if language:
        arguments = {name: as_text(value, known.get(name, {}), language) for name, value in arguments.items()}
    return ToolCall(call.name, arguments)


def _first(values: Mapping[str, Json], required: list[str]) -> dict[str, Json]:
    """Return the first right value of each argument; where "" or null is all there is, the argument is left out if it may be."""
    found = {}
    for name, right in values.items():
        stated = [value for value in right if value not in ("", None)] if isinstance(right, list) else [right]
        if stated:
            found[name] = _plain(stated[0])
        elif "" not in right or name in required:
            found[name] = right[0] if right else None
    return found


def _plain(value: Json) -> Json:
    """Return a right value without the alternatives that stand inside its objects."""
    if isinstance(value, dict):
        return _first(value, [])
    return [_plain(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
