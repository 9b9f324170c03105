"""A name of raw data -> its rows, one at a time. The only door to the `datasets` library.

| name | is |
|---|---|
| `x.jsonl`, `x.json` or any other file | JSON, a value a line or one array; read exactly, never whole |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from toolrl.data.jsonfile import json_rows
from toolrl.errors import DataError
from toolrl.types import Json


class Raw(NamedTuple):
    """A row, and where it comes from."""

    place: str
    """For messages: `folder/rows.jsonl:3`."""
    name: str
    """What the row is called where it has no id: `rows.jsonl:3`."""
    source: str
    row: Json
    file: Path | None = None


def raw_rows(spec: str) -> Iterator[Raw]:
    """Yield the rows of a name. Raises UserError, within seconds, where there is nothing of that name."""
    file = Path(spec)
    if not file.is_file():
        raise DataError(f"{spec}: no such file; give a JSONL file with one row a line")
    for number, row in json_rows(file):
        yield Raw(f"{file}:{number}", f"{file.name}:{number}", file.name, row, file)
