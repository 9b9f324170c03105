"""BFCL's own files -> Items, each with the prompt that training would make of it.

`BFCL_v4_<category>.json` holds the questions, `possible_answer/` beside it the answers. A question of `live_relevance` has no answer, since
any call is right: its prompt has an empty reference and serves for asking only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from filecmp import cmp
from pathlib import Path

from toolrl.data.formats import bfcl
from toolrl.data.jsonfile import json_rows
from toolrl.data.steps import Origin, steps
from toolrl.errors import DataError
from toolrl.evaluation.benchmark import Item
from toolrl.evaluation.bfcl.categories import RELEVANCE
from toolrl.types import Json, Prompt

SOURCE = "bfcl"


def file_of(data: Path, category: str) -> Path:
    """Return the file of a category's questions."""
    return data / f"BFCL_v4_{category}.json"


def read_items(data: Path, categories: Sequence[str]) -> tuple[Item, ...]:
    """Return the items of categories, in the order of their files. Raises DataError with the place."""
    return tuple(item for category in categories for item in _items(data, category))


def ids_of(data: Path, category: str) -> list[str]:
    """Return the ids of a category's questions, those of multi-turn ones too. Raises DataError."""
    return [row["id"] for _, row in json_rows(_require(file_of(data, category)))]


def differing(category: str, data: Path, other: Path) -> list[str]:
    """Return the files of a category that are not the same, byte for byte, in two folders."""
    files = [file_of(Path(), category), Path(bfcl.ANSWERS) / file_of(Path(), category)]
    there = [file for file in files if (other / file).is_file()]
    return [str(file) for file in there if not (data / file).is_file() or not cmp(data / file, other / file, shallow=False)]


def _items(data: Path, category: str) -> Iterator[Item]:
    file = _require(file_of(data, category))
    for number, row in json_rows(file):
        try:
            prompt = _prompt(row, category, file)
        except DataError as error:
            raise DataError(f"{file}:{number}: {error}") from error
        yield Item(prompt.id, category, prompt)


def _require(file: Path) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the folder `data` of bfcl-eval, or name other categories")
    return file


def _prompt(row: Json, category: str, file: Path) -> Prompt:
    if not isinstance(row, dict) or not bfcl.fits(row):
        raise DataError("expected {id, question, function}; give BFCL's own file")
    if category in RELEVANCE:  # nothing stands in the answers
        row = row | {"ground_truth": []}
    (prompt,) = steps(bfcl.read(row, Origin(f"{category}_{file.name}", SOURCE, file)))
    return prompt
