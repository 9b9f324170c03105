"""prompts.parquet: each prompt of a run once, so that a row of `rollouts/` can be read, explained and scored again by its prompt_id.

    draws ─ write_prompts ─> prompts.parquet ─ read_prompts ─> prompts of one split by id, equal to those that were drawn

Written whole when the run folder is new, before the first rollout: the prompts are known then, and one rename is all a crash can interrupt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from toolrl.errors import RunFolderError
from toolrl.monitor.durable import aside_of, publish
from toolrl.monitor.tables import CHECKSUMS, TableKind
from toolrl.types import AcceptedCall, Draw, Json, Message, Prompt, Tool, ToolCall

PROMPTS_AT_A_TIME = 1024
PROMPTS_KEPT = 4096
"""Prompts that a reader keeps as values; the others stay text until they are asked for again."""
_EXACT = json.JSONDecoder(parse_float=Decimal)
SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("dialogue", pa.string()),
        ("messages", pa.string()),
        ("tools", pa.string()),
        ("reference", pa.string()),
        ("accepted", pa.string()),
        ("tokens", pa.list_(pa.int32())),
    ]
)
"""messages, tools, reference and accepted are JSON."""
KIND = TableKind(SCHEMA, nullable=("tokens",), foreign="the file is not of a run, or of another version of toolrl")


def write_prompts(path: Path, draws: Mapping[str, Iterable[Draw]]) -> None:
    """Write the prompts of `draws` by split, each id of a split once; a file that is there is left alone."""
    if path.exists():
        return
    with pq.ParquetWriter(aside_of(path), SCHEMA, **CHECKSUMS) as writer:
        for split, of_split in draws.items():
            remaining = iter({draw.prompt.id: draw for draw in of_split}.values())
            while chunk := list(islice(remaining, PROMPTS_AT_A_TIME)):
                writer.write_table(pa.Table.from_pylist([_row(split, draw) for draw in chunk], schema=SCHEMA))
    publish(path)


class StoredPrompts(Mapping[str, Prompt]):
    """The prompts of one split by id. Each is made from its row when it is asked for.

    Args:
        path: prompts.parquet.
        split: `train` or `heldout`.

    Raises:
        RunFolderError: The file is not there, or is none that a run wrote.
    """

    def __init__(self, path: Path, split: str) -> None:
        self._path = path
        self._rows = _read(path, split)
        self._index = {prompt_id: index for index, prompt_id in enumerate(self._rows.column("prompt_id").to_pylist())}
        self._made = lru_cache(PROMPTS_KEPT)(self._make)

    def __getitem__(self, prompt_id: str) -> Prompt:
        """Return a prompt. Raises KeyError, or RunFolderError where its row is damaged."""
        return self._made(self._index[prompt_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def _make(self, index: int) -> Prompt:
        return _checked_prompt(self._rows.slice(index, 1).to_pylist()[0], self._path)


def read_prompts(path: Path, split: str = "train") -> StoredPrompts:
    """Return the prompts of one split of a run by id, without their tokens. Raises RunFolderError."""
    return StoredPrompts(path, split)


def find_prompt(path: Path, prompt_id: str, split: str = "train") -> Prompt | None:
    """Return one prompt of a split, None where the file has none of that id; only the names of the others are read.

    Raises RunFolderError.
    """
    if not path.is_file():
        raise RunFolderError(f"{path}: no such file; a run writes it before its first batch")
    wanted = {"prompt_id": prompt_id, "split": split}
    columns = [name for name in SCHEMA.names if name != "tokens"]
    with KIND.open(path, columns) as file:
        for i in range(file.num_row_groups):
            names = file.read_row_group(i, list(wanted))
            row = pc.index(pc.and_(*(pc.equal(names.column(name), value) for name, value in wanted.items())), True).as_py()
            if row >= 0:
                table = KIND.checked(path, file.read_row_group(i, columns), file.metadata.row_group(i).num_rows)
                return _checked_prompt(table.slice(row, 1).to_pylist()[0], path)
    return None


def read_tokens(path: Path, prompt_ids: Collection[str], split: str = "train") -> dict[str, NDArray[np.int32]]:
    """Return the token ids [T] of the named prompts of one split, through the chat template; raises RunFolderError where one is missing."""
    rows = _table(path, ("prompt_id", "tokens"), split)
    rows = rows.filter(pc.is_in(rows.column("prompt_id"), pa.array(sorted(prompt_ids), pa.string())))
    found = {row["prompt_id"]: np.array(row["tokens"], np.int32) for row in rows.to_pylist() if row["tokens"] is not None}
    if missing := sorted(set(prompt_ids) - found.keys()):
        raise RunFolderError(f"{path}: no tokens of the prompt {missing[0]!r}, which the rollouts name; put the run's own file back")
    return found


def _read(path: Path, split: str) -> pa.Table:
    return _table(path, [name for name in SCHEMA.names if name != "tokens"], split)


def _table(path: Path, columns: Sequence[str], split: str) -> pa.Table:
    if not path.is_file():
        raise RunFolderError(f"{path}: no such file; a run writes it before its first batch")
    read = KIND.read(path, tuple(dict.fromkeys(("split", *columns))))
    return read.filter(pc.equal(read.column("split"), split)).select(list(columns))


def _checked_prompt(row: Mapping[str, Any], path: Path) -> Prompt:
    """Return the prompt of a row. Raises RunFolderError where it is damaged."""
    try:
        return _prompt(row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # whatever a row that no run wrote may hold
        raise RunFolderError(f"{path}: the row of prompt {row['prompt_id']!r} is damaged ({error!r}); put the file back") from error


def _prompt(row: Mapping[str, Any]) -> Prompt:
    return Prompt(
        id=row["prompt_id"],
        source=row["source"],
        messages=tuple(Message(m["role"], m["content"], _read_calls(m.get("tool_calls", []))) for m in _EXACT.decode(row["messages"])),
        tools=tuple(Tool(tool["name"], tool["description"], tool["parameters"]) for tool in _EXACT.decode(row["tools"])),
        reference=_read_calls(_EXACT.decode(row["reference"])),
        dialogue=row["dialogue"],
        accepted=tuple(
            AcceptedCall(call["name"], {name: tuple(values) for name, values in call["values"].items()})
            for call in _EXACT.decode(row["accepted"])
        ),
    )


def _read_calls(calls: Json) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(call["name"], call["arguments"]) for call in calls)


def _row(split: str, draw: Draw) -> dict[str, Any]:
    prompt = draw.prompt
    messages = [
        {"role": m.role, "content": m.content, **({"tool_calls": _calls(m.tool_calls)} if m.tool_calls else {})} for m in prompt.messages
    ]
    tools = [{"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in prompt.tools]
    return {
        "prompt_id": prompt.id,
        "split": split,
        "source": prompt.source,
        "dialogue": prompt.dialogue,
        "messages": exact_json(messages),
        "tools": exact_json(tools),
        "reference": exact_json(_calls(prompt.reference)),
        "accepted": exact_json([{"name": call.name, "values": call.values} for call in prompt.accepted]),
        "tokens": draw.token_ids,
    }


def _calls(calls: Sequence[ToolCall]) -> list[Json]:
    return [{"name": call.name, "arguments": call.arguments} for call in calls]


def exact_json(value: Json) -> str:
    """Return `value` as JSON with every digit of its Decimals, which `json.dumps` cannot write; none becomes an integer.

    >>> exact_json({"x": [Decimal("0.10"), 1, None]})
    '{"x": [0.10, 1, null]}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {exact_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(exact_json, value)) + "]"
    if isinstance(value, Decimal):
        text = str(value)
        return text if "." in text or "E" in text else f"{text}.0"  # Decimal("1e0") prints as 1, and is no integer
    return json.dumps(value)
