"""Markdown, as far as a model card needs it; and which names are of the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_FILES = frozenset({".json", ".jsonl", ".parquet", ".gz", ".zst"})


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [_row(head), "|" + "---|" * len(head), *map(_row, rows)]


def is_hub_name(name: str) -> bool:
    """Whether a name can only be one of the Hugging Face hub: nothing here is called so, and it is no file's."""
    return _HUB_NAME.fullmatch(name) is not None and Path(name).suffix not in _FILES and not Path(name).exists()


def _row(cells: Sequence[str]) -> str:
    """A bar would begin another cell, and a line break another row."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
