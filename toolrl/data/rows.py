"""JSONL rows -> prompts, one at a time.

    file ─ line ─> JSON ─ kind of row ─> Prompt

A row that cannot become a Prompt is a DataError that names `file:line`, what was got and what to do; nothing is guessed. Two kinds
are read, told apart row by row, and both by the rules of `chat`:

- `{id, source, messages, tools: [{name, description, parameters}], answer: [{name, arguments}], …}`;
- the OpenAI chat form: `{messages (with tool_calls and tool turns), tools: [{"type": "function", "function": {…}}]}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolrl.data.chat import chat_prompt
from toolrl.data.jsontext import loads
from toolrl.errors import DataError
from toolrl.types import Json, Prompt


def read_rows(path: str | Path) -> Iterator[Prompt]:
    """Yield the prompts of a JSONL file in its order; blank lines count as lines and are passed over.

    A row without an `id` is called `file name:line`, one without a `source` the file's name. Raises DataError.
    """
    file = Path(path)
    for place, row in read_json(file):
        try:
            yield to_prompt(row, default_id=place, default_source=file.name)
        except DataError as error:
            raise DataError(f"{file.parent / place}: {error}") from error


def read_json(path: str | Path) -> Iterator[tuple[str, Json]]:
    """Yield each row of a JSONL file as JSON, with its place `file name:line`. Raises DataError."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file; give a JSONL file with one row a line")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield f"{file.name}:{number}", loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except ValueError as error:  # UnicodeDecodeError is one
                raise DataError(f"{file}:{number}: not one JSON value in UTF-8: {error}; mend or remove the line") from error


def to_prompt(row: Json, *, default_id: str, default_source: str) -> Prompt:
    """Return the prompt of one row, whichever kind it is. Raises DataError without a place."""
    if isinstance(row, dict) and "messages" in row:
        return chat_prompt(row, default_id=default_id, default_source=default_source)
    got = f"the keys {', '.join(map(repr, row)) or '(none)'}" if isinstance(row, dict) else f"a {type(row).__name__}"
    raise DataError(f"expected an object with `messages`, `tools` and `answer` or the OpenAI chat form, got {got}; convert the row")
