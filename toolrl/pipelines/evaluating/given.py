"""Completions from a file: lines `{"id", "text"}`, one for every item that is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolrl.data.jsonfile import json_rows
from toolrl.errors import DataError
from toolrl.evaluation.benchmark import Item
from toolrl.rollout.replies import Reply


def given_replies(path: Path, items: Sequence[Item]) -> dict[str, Reply]:
    """Return the completion of each item by its id.

    Raises:
        DataError: A line is no completion, an id is unknown or stands twice, or an item has none.
    """
    if not path.is_file():
        raise DataError(f'--completions: {path}: no such file; give JSONL lines {{"id", "text"}}')
    wanted = {item.id for item in items}
    found: dict[str, Reply] = {}
    for number, row in json_rows(path):
        key, text = (row.get("id"), row.get("text")) if isinstance(row, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(text, str):
            raise DataError(f'{path}:{number}: expected {{"id", "text"}}, both text, got {str(row)[:80]}; mend the line')
        if key not in wanted:
            raise DataError(f"{path}:{number}: no item {key!r} is evaluated here; remove the line, or choose its category")
        if key in found:
            raise DataError(f"{path}:{number}: a second completion of {key!r}; give each item one")
        found[key] = Reply(text, "stop", 0, 0)
    if missing := [item.id for item in items if item.id not in found]:
        raise DataError(f"{path}: no completion of {len(missing)} of {len(items)} items, the first {missing[0]!r}; add them, if empty ones")
    return found
