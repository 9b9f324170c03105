"""`toolrl score`: completions from a file -> one verdict a line, by the verifier that the reward workers run.

    {"id", "tools", "reference", "text"} ────────────────────┐
    {"id", "category", "function", "ground_truth", "calls"} ─┴─> {"id", "reward", "valid", "reason", "path"}

Rows of the second form are BFCL's and belong to mode bfcl. The file is read twice, so that nothing is printed unless every row is
sound and a file of any size fits in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from toolrl.calls.jsontext import EXACT, PYTHON, JsonError, decode
from toolrl.data.chat import chat_prompt
from toolrl.data.history import read_accepted
from toolrl.errors import DataError
from toolrl.pipelines.bfcl_rows import bfcl_verdict, read_bfcl_row
from toolrl.protocols import Verifier
from toolrl.reward.judge import judge
from toolrl.reward.verifier import make_verifier
from toolrl.types import Json, Prompt, Reason, Verdict

FIELDS = ("id", "tools", "reference", "text")

Read = Callable[[dict[str, Any], int], tuple[Json, Callable[[], Verdict]]]
"""A row and its number -> its id, and what judges it."""


def score_file(path: Path, *, mode: str, no_call: str, out: TextIO) -> None:
    """Judge every row of the JSONL file `path` and write its verdict to `out`, in order; blank lines are passed over.

    `valid` says whether the answer is accepted; for rows of BFCL it is the official verdict. Raises ConfigError for an unknown `mode`
    or `no_call`, and DataError, before anything is written, for a row that cannot be read.
    """
    verifier = make_verifier(mode, no_call)
    read = partial(_read_bfcl if mode == "bfcl" else _read_prompt, verifier)
    decoder = PYTHON if mode == "bfcl" else EXACT  # BFCL's numbers are those of Python
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a JSONL file with one completion a line")
    if not sum(1 for _ in _rows(path, read, decoder)):
        raise DataError(f"{path}: no completions in it; give a JSONL file with one completion a line")
    for row_id, judged in _rows(path, read, decoder):
        verdict = judged()
        valid = verdict.reason is Reason.CORRECT
        line = {"id": row_id, "reward": verdict.reward, "valid": valid, "reason": verdict.reason, "path": verdict.path}
        out.write(json.dumps(line) + "\n")


def _rows(path: Path, read: Read, decoder: json.JSONDecoder) -> Iterator[tuple[Json, Callable[[], Verdict]]]:
    """Yield what `read` returns for each row. Raises DataError with file and line."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    row = decode(line.decode("utf-8-sig" if number == 1 else "utf-8"), decoder)
                    if not isinstance(row, dict):
                        raise DataError(f"expected a JSON object, got a {type(row).__name__}; write one object a line")
                    yield read(row, number)
                except (JsonError, UnicodeError) as error:
                    raise DataError(f"{path}:{number}: not one JSON value in UTF-8: {error}; mend or remove the line") from error
                except ValueError as error:
                    raise DataError(f"{path}:{number}: {error}") from error


def _read_bfcl(verifier: Verifier, row: dict[str, Any], number: int) -> tuple[Json, Callable[[], Verdict]]:
    """Read a row of BFCL, or one that gives tools and reference."""
    if "tools" in row:
        return _read_prompt(verifier, row, number)
    found = read_bfcl_row(row)
    return row["id"], partial(bfcl_verdict, found)


def _read_prompt(verifier: Verifier, row: dict[str, Any], number: int) -> tuple[Json, Callable[[], Verdict]]:
    if missing := [name for name in FIELDS if name not in row]:
        hint = "; rows of BFCL are judged by --mode bfcl" if "ground_truth" in row else "; add what is missing"
        raise DataError(f"expected {', '.join(FIELDS)}, got no {', '.join(missing)}{hint}")
    if not isinstance(row["text"], str):
        raise DataError(f"`text`: expected the completion as text, got {type(row['text']).__name__}; write it in quotes")
    return row["id"], partial(judge, verifier, _prompt(row, number), row["text"])


def _prompt(row: dict[str, Any], number: int) -> Prompt:
    asked = {name: row[name] for name in FIELDS[:3]} | {"messages": [{"role": "user", "content": ""}]}
    prompt = chat_prompt(asked, default_id=str(number), default_source="score")
    accepted = row.get("accepted", [])
    if not isinstance(accepted, list):
        raise DataError(
            f"`accepted`: expected a list of calls, got {type(accepted).__name__}; write [{{function: {{argument: [values]}}}}]"
        )
    return replace(prompt, accepted=tuple(read_accepted(call, f"accepted[{i}]") for i, call in enumerate(accepted)))
