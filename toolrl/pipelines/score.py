"""`toolrl score`: completions from a file -> one verdict a line, by the verifier that the reward workers run.

    {"id", "tools", "reference": [{"name", "arguments"}], "text"} ─> {"id", "reward", "valid", "reason", "path"}

The file is read twice, so that nothing is printed unless every row is sound and a file of any size fits in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from toolrl.calls.jsontext import JsonError, decode
from toolrl.data.chat import chat_prompt
from toolrl.errors import DataError
from toolrl.reward.judge import judge
from toolrl.reward.verifier import make_verifier
from toolrl.types import Json, Prompt

FIELDS = ("id", "tools", "reference", "text")


def score_file(path: Path, *, mode: str, no_call: str, out: TextIO) -> None:
    """Judge every row of the JSONL file `path` and write its verdict to `out`, in order; blank lines are passed over.

    `valid` says whether the answer is accepted (reward 1). Raises ConfigError for an unknown `mode` or `no_call`, and
    DataError, before anything is written, for a row that cannot be read.
    """
    verifier = make_verifier(mode, no_call)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a JSONL file with one completion a line")
    for _ in _rows(path):
        pass
    for row_id, prompt, text in _rows(path):
        verdict = judge(verifier, prompt, text)
        line = {"id": row_id, "reward": verdict.reward, "valid": verdict.reward == 1.0, "reason": verdict.reason, "path": verdict.path}
        out.write(json.dumps(line) + "\n")


def _rows(path: Path) -> Iterator[tuple[Json, Prompt, str]]:
    """Yield (id, prompt, text) of each row. Raises DataError with file and line."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield _row(decode(line.decode("utf-8-sig" if number == 1 else "utf-8")), number)
                except (JsonError, UnicodeDecodeError) as error:
                    raise DataError(f"{path}:{number}: not one JSON value in UTF-8: {error}; mend or remove the line") from error
                except DataError as error:
                    raise DataError(f"{path}:{number}: {error}") from error


def _row(row: Any, number: int) -> tuple[Json, Prompt, str]:
    if not isinstance(row, dict):
        raise DataError(f"expected an object with {', '.join(FIELDS)}, got a JSON {type(row).__name__}; write one object a line")
    if missing := [name for name in FIELDS if name not in row]:
        raise DataError(f"expected {', '.join(FIELDS)}, got no {', '.join(missing)}; add what is missing")
    if not isinstance(row["text"], str):
        raise DataError(f"`text`: expected the completion as text, got {type(row['text']).__name__}; write it in quotes")
    asked = {name: row[name] for name in FIELDS[:3]} | {"messages": [{"role": "user", "content": ""}]}
    return row["id"], chat_prompt(asked, default_id=str(number), default_source="score"), row["text"]
