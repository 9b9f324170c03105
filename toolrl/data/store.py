"""Prompts in a Parquet file: a row a prompt, nested parts as JSON text, so that int and Decimal come back digit by digit.

Written in row groups as they come; the same prompts give the same bytes. The writer leaves a complete, flushed file, unless it is left by
an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from toolrl.data.jsontext import dumps, loads
from toolrl.errors import DataError
from toolrl.monitor.tables import CHECKSUMS, TableKind
from toolrl.types import AcceptedCall, Json, Message, Prompt, Tool, ToolCall

ROWS_PER_GROUP = 2048
CHARS_PER_GROUP = 2**25
"""Longest text of a row group, give or take a row: the writer holds no more, however long the rows are."""
_TEXTS = ("id", "source", "dialogue", "messages", "tools", "reference", "accepted")
_SCHEMA = pa.schema([(name, pa.string()) for name in _TEXTS])
_REMEDY = "make it with `toolrl prepare`"
_KIND = TableKind(_SCHEMA, error=DataError, remedy=_REMEDY, foreign=_REMEDY)


class PromptWriter:
    """Writes prompts to one file; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(path, _SCHEMA, **CHECKSUMS)
        self._rows: list[dict[str, str]] = []
        self._chars = 0
        self.written = 0

    def write(self, prompt: Prompt) -> None:
        """Add one prompt."""
        row = _row(prompt)
        self._rows.append(row)
        self._chars += sum(map(len, row.values()))
        self.written += 1
        if len(self._rows) == ROWS_PER_GROUP or self._chars >= CHARS_PER_GROUP:
            self._flush()

    def __enter__(self) -> PromptWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            with suppress(OSError, pa.ArrowException):  # what led here says more than what follows from it
                self._writer.close()
            return
        self._flush()
        self._writer.close()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
            self._rows, self._chars = [], 0


def is_prepared(path: Path) -> bool:
    """Whether this is a file made by PromptWriter, and no other Parquet file."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return set(_TEXTS) <= set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return False


def read_prompts(path: Path) -> Iterator[Prompt]:
    """Yield the prompts of a file made by PromptWriter. Raises DataError where it is none, or a row of it."""
    number = 0
    with _KIND.open(path, _TEXTS) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=list(_TEXTS)):
            for row in _KIND.checked(path, pa.Table.from_batches([batch]), batch.num_rows).to_pylist():
                number += 1
                yield _read(row, path, number)
        if number != file.metadata.num_rows:
            raise DataError(f"{path}: not a readable Parquet file ({number} rows, and its end counts {file.metadata.num_rows}); {_REMEDY}")


def _read(row: dict[str, str], path: Path, number: int) -> Prompt:
    """Return the prompt of a row. Raises DataError where it holds none."""
    try:
        return _prompt(row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: row {number} holds no prompt ({type(error).__name__}: {error}); {_REMEDY}") from error


def _row(prompt: Prompt) -> dict[str, str]:
    messages = [{"role": m.role, "content": m.content, "tool_calls": _calls(m.tool_calls)} for m in prompt.messages]
    tools = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in prompt.tools]
    return {
        "id": prompt.id,
        "source": prompt.source,
        "dialogue": prompt.dialogue,
        "messages": dumps(messages),
        "tools": dumps(tools),
        "reference": dumps(_calls(prompt.reference)),
        "accepted": dumps([{"name": call.name, "values": call.values} for call in prompt.accepted]),
    }


def _calls(calls: tuple[ToolCall, ...]) -> list[Json]:
    return [{"name": call.name, "arguments": call.arguments} for call in calls]


def _prompt(row: dict[str, str]) -> Prompt:
    return Prompt(
        id=row["id"],
        source=row["source"],
        messages=tuple(Message(m["role"], m["content"], _read_calls(m["tool_calls"])) for m in loads(row["messages"])),
        tools=tuple(Tool(**tool) for tool in loads(row["tools"])),
        reference=_read_calls(loads(row["reference"])),
        dialogue=row["dialogue"],
        accepted=tuple(
            AcceptedCall(call["name"], {name: tuple(values) for name, values in call["values"].items()}) for call in loads(row["accepted"])
        ),
    )


def _read_calls(calls: Json) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(call["name"], call["arguments"]) for call in calls)
