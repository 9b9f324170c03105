"""The texts of a page, small and inert: JSON in blocks, each compressed, as text that a browser unpacks when it is looked at.

    value ─ JSON ─ gzip ─ base64 ─> <script type="application/gzip" id="group-3">…</script>

Base64 has no character that ends an element or begins a tag, so whatever a model wrote stays data.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from toolrl.monitor import rollouts
from toolrl.pipelines.reporting import detail
from toolrl.pipelines.reporting.groups import GroupRow
from toolrl.pipelines.reporting.record import Record

RAW_BYTES = 192 * 1024
"""Of JSON in a block: unpacked in a few milliseconds, and large enough for texts that repeat."""
LEVEL = 6


def packed(value: Any) -> str:
    """Return a value as the text of a block."""
    return packed_text(as_json(value))


def packed_text(text: str) -> str:
    """Return JSON as the text of a block; the same text gives the same block."""
    return b64encode(gzip.compress(text.encode(), LEVEL, mtime=0)).decode("ascii")


def as_json(value: Any) -> str:
    """Return a value as JSON that every browser reads: no NaN, and nothing that is no Unicode."""
    return rollouts.storable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


class Blocks:
    """Values gathered into blocks, in the order in which they come.

    Args:
        name: Begins the id of each block, as in `group-0`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.done: dict[str, str] = {}
        """Packed blocks by id."""
        self._open: list[str] = []
        self._bytes = 0

    def add(self, value: Any) -> tuple[int, int]:
        """Add a value; returns the number of its block, and its place in it."""
        text = as_json(value)
        if self._open and self._bytes + len(text) > RAW_BYTES:
            self.close()
        self._open.append(text)
        self._bytes += len(text)
        return len(self.done), len(self._open) - 1

    def close(self) -> None:
        """Pack what has been added since the last block."""
        if self._open:
            self.done[f"{self._name}-{len(self.done)}"] = packed_text(f"[{','.join(self._open)}]")
            self._open, self._bytes = [], 0


def packed_groups(
    record: Record, rows: Sequence[GroupRow], groups: Blocks, prompts: Blocks, *, each: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Pack the groups of a run and their prompts; returns their rows, each with `at` and `prompt_at`: block and place.

    `each` is called after a group. Raises RunFolderError.
    """
    assert record.prompts is not None
    mode = detail.mode_of(record.settings)
    where: dict[str, tuple[int, int]] = {}
    found = []
    for row, samples in _samples(record, rows):
        prompt = record.prompts[row.prompt_id]
        if row.prompt_id not in where:
            where[row.prompt_id] = prompts.add(detail.prompt_json(prompt))
        told = detail.group_json(samples, prompt, mode)
        found.append({**row.as_json(), "at": groups.add(told), "prompt_at": where[row.prompt_id]})
        each()
    return found


def _samples(record: Record, rows: Sequence[GroupRow]) -> Iterator[tuple[GroupRow, list[Mapping[str, Any]]]]:
    """Yield each group with its rows of rollouts/, a file at a time."""
    by_version: dict[int, dict[int, GroupRow]] = {}
    for row in rows:
        by_version.setdefault(row.version, {})[row.draw] = row
    for version, wanted in by_version.items():
        table = rollouts.read_file(record.rollouts / rollouts.file_name(version), detail.COLUMNS)
        samples: dict[int, list[Mapping[str, Any]]] = {}
        for sample in table.filter(pc.is_in(table.column("draw"), pa.array(list(wanted), pa.int64()))).to_pylist():
            samples.setdefault(sample["draw"], []).append(sample)
        yield from ((wanted[draw], found) for draw, found in samples.items())
