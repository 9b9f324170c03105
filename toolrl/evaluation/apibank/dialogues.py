"""API-Bank's dialogues -> steps: each call of an API, with all that was said and done before it.

    level1_dialogues.jsonl, level2_dialogues.jsonl   {"file", "turns": [{"role": User | AI | API, …}, …]}, an original file a line
    unified.jsonl                                    rows with the JSON schemas of the APIs, by level

On offer are, as in the rows of `unified.jsonl`: at level 1 the APIs that the dialogue calls; at level 2 the tool searcher until the
dialogue has searched, then what it found. Those rows are the same steps in another form: some twice, and without the steps of the four
level-2 dialogues that never search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolrl.data.jsonfile import json_rows
from toolrl.data.jsontext import dumps
from toolrl.data.schemas import read_tools
from toolrl.errors import DataError
from toolrl.types import Json, Message, Tool, ToolCall

LEVELS: Final = (1, 2)
SEARCHER: Final = "ToolSearcher"
CUE: Final = "\nGenerate API Request:"
"""What ends a prompt in the benchmark's own training and test rows: now a call is due, not a reply."""
YEAR: Final = Message("system", "This year is 2023.")
"""What upstream's prompt says too: users name days without a year, and labels have one."""

Catalogue = Mapping[tuple[int, str], Tool]
"""(level, name) -> the API; descriptions differ from level to level."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call to be written."""

    id: str
    """As in `level1/AddAlarm-level-1-1/6`: the level, the dialogue, the place of the turn in it."""
    level: int
    dialogue: str
    history: tuple[Message, ...]
    offered: tuple[str, ...]
    """The APIs on offer, by name."""
    call: ToolCall
    """The label, its values as they are written there: text, all of them."""
    result: Mapping[str, Json]
    """What upstream's API returned: `input` as it read the arguments, `output`, `exception`."""


def read_steps(folder: Path, level: int) -> tuple[Step, ...]:
    """Return every call of the dialogues of a level, in the order of the file. Raises DataError with the place."""
    file = folder / f"level{level}_dialogues.jsonl"
    steps: list[Step] = []
    for line, row in json_rows(_there(file)):
        try:
            steps += _steps(row, level)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{file}:{line}: not a dialogue of API-Bank ({type(error).__name__} {error}); give its own files") from error
    if not steps:
        raise DataError(f"{file}: no calls in it; give API-Bank's own file")
    return tuple(steps)


def read_catalogue(folder: Path) -> Catalogue:
    """Return every API that a row of `unified.jsonl` offers. Raises DataError with the place."""
    file = folder / "unified.jsonl"
    found: dict[tuple[int, str], Tool] = {}
    for line, row in json_rows(_there(file)):
        try:
            level = next(level for level in LEVELS if f"_l{level}_" in row["id"])
            found |= {(level, tool.name): tool for tool in read_tools(row["tools"])}
        except (KeyError, TypeError, StopIteration) as error:
            problem = f"expected an id with _l1_ or _l2_ and tools ({type(error).__name__} {error})"
            raise DataError(f"{file}:{line}: {problem}; give API-Bank's own files") from error
    return found


def _there(file: Path) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: no such file; name the folder with level1_dialogues.jsonl, level2_dialogues.jsonl and unified.jsonl")
    return file


def _steps(row: Json, level: int) -> Iterator[Step]:
    name, turns = str(row["file"]).removesuffix(".jsonl"), row["turns"]
    dialogue = f"level{level}/{name}"
    called = tuple(dict.fromkeys(turn["api_name"] for turn in turns if turn["role"] == "API"))
    offered = called if level == 1 else (SEARCHER,)
    history: list[Message] = []
    for place, turn in enumerate(turns):
        if turn["role"] != "API":
            history.append(Message("user" if turn["role"] == "User" else "assistant", turn["text"]))
            continue
        call = ToolCall(turn["api_name"], turn["param_dict"])
        yield Step(f"{dialogue}/{place}", level, dialogue, _asking(history), offered, call, turn["result"])
        history += (Message("assistant", "", (call,)), Message("tool", _text(turn["result"])))
        if level > 1 and call.name == SEARCHER:
            offered = _found(turn["result"]["output"])


def _asking(history: Sequence[Message]) -> tuple[Message, ...]:
    last = history[-1]
    return (YEAR, *history[:-1], Message(last.role, last.content + CUE, last.tool_calls))


def _text(result: Mapping[str, Any]) -> str:
    """Return what an API answered, as a model reads it."""
    output = result["output"] if result["exception"] is None else result["exception"]
    return output if isinstance(output, str) else dumps(output)


def _found(output: Json) -> tuple[str, ...]:
    """Return the names of the APIs that a search found: one, or that for the user's token and one that asks for it."""
    return tuple(api["name"] for api in (output if isinstance(output, list) else [output]))
