"""prompts.parquet: each prompt of a run once, so that a row of `rollouts/` can be read, explained and scored again by its prompt_id.

Written whole when the run folder is new, before the first rollout: the prompts are known then, and one rename is all a crash can interrupt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolrl.monitor.durable import aside_of, publish
from toolrl.types import Draw, Json, ToolCall

PROMPTS_AT_A_TIME = 1024
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


def write_prompts(path: Path, draws: Mapping[str, Iterable[Draw]]) -> None:
    """Write the prompts of `draws` by split, each id of a split once; a file that is there is left alone."""
    if path.exists():
        return
    with pq.ParquetWriter(aside_of(path), SCHEMA, compression="zstd") as writer:
        for split, of_split in draws.items():
            remaining = iter({draw.prompt.id: draw for draw in of_split}.values())
            while chunk := list(islice(remaining, PROMPTS_AT_A_TIME)):
                writer.write_table(pa.Table.from_pylist([_row(split, draw) for draw in chunk], schema=SCHEMA))
    publish(path)


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
    """Return `value` as JSON with every digit of its Decimals, which `json.dumps` cannot write.

    >>> exact_json({"x": [Decimal("0.10"), 1, None]})
    '{"x": [0.10, 1, null]}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {exact_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(exact_json, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
