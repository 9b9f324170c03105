"""A benchmark's own files -> what its fingerprints are made of: the user turns of each item, and its tools.

| name | is | files |
|---|---|---|
| bfcl | BFCL | `BFCL_v*.json`: `question` is turns × messages, `function` Gorilla schemas |
| apibank | API-Bank | dialogues, one a file (a turn a line) or one a line (`turns`); or steps with `messages` and `tools` |
| acebench | ACEBench | `data_*.json`: `question` is text with `user:` and `system:` lines, a function has `parameters` or `arguments` |

Any other name stands for rows in a format that `toolrl prepare` reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from toolrl.data.formats.foreign import NAMES, as_text_schema
from toolrl.data.jsonfile import json_rows
from toolrl.data.rows import read_prompts_of
from toolrl.data.schemas import read_tools
from toolrl.errors import DataError
from toolrl.types import Json, Tool

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a benchmark, as far as the guard asks."""

    turns: tuple[str, ...]
    """What the user says: each turn, and whole where the benchmark may be asked whole."""
    tools: tuple[Tool, ...] = ()
    counted: bool = True
    """Whether it is an item of its own, not a step of one that is listed elsewhere."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark and how its files are read."""

    title: str
    pattern: str
    """Its files in a folder."""
    read: Callable[[Iterable[Row]], Iterator[Item]]
    """The rows of one file -> items."""


def read_items(name: str, paths: Iterable[Path]) -> Iterator[Item]:
    """Yield the items of a benchmark from its files or folders. Raises DataError, with the place."""
    known = BENCHMARKS.get(name)
    for path in paths:
        if known is None:
            for _, prompts in read_prompts_of(path):
                yield from (Item(tuple(m.content for m in p.messages if m.role == "user"), p.tools) for p in prompts)
            continue
        for file in _files(path, known):
            at = _At(json_rows(file))
            if not at.rows:
                raise DataError(f"{file}: no items in it; give the whole file, or leave it out")
            try:
                yield from known.read(at)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                problem = error if isinstance(error, DataError) else f"{type(error).__name__} {error}"
                raise DataError(f"{file}:{at.line}: not a row of {known.title} ({problem}); name its question files") from error


def title(name: str) -> str:
    """Return a benchmark's name for people."""
    return BENCHMARKS[name].title if name in BENCHMARKS else name


class _At:
    """The rows of a file, all read at once; knows the line it is at."""

    def __init__(self, rows: Iterable[tuple[int, Json]]) -> None:
        self.rows = list(rows)
        self.line = 0

    def __iter__(self) -> Iterator[Json]:
        for line, row in self.rows:
            self.line = line
            yield row


def _files(path: Path, benchmark: Benchmark) -> list[Path]:
    if path.is_file():
        return [path]
    if found := sorted(path.glob(benchmark.pattern)):
        return found
    raise DataError(f"{path}: no file {benchmark.pattern} there; name the folder or the files of {benchmark.title}'s questions")


def _bfcl(rows: Iterable[Row]) -> Iterator[Item]:
    for row in rows:
        turns: list[str] = []
        for messages in row["question"]:
            for role, run in groupby(messages, key=lambda message: message["role"]):
                texts = [message["content"] for message in run] if role == "user" else []
                turns += texts + (["\n".join(texts)] if len(texts) > 1 else [])
        tools = read_tools(row.get("function", []))  # multi-turn items name classes, whose functions stand elsewhere
        yield Item(tuple(turns), tools)
        if (language := str(row.get("id")).removeprefix("simple_").rpartition("_")[0]) in NAMES:  # also as `formats.bfcl` shows them
            yield Item(tuple(turns), tuple(replace(t, parameters=as_text_schema(t.parameters, language)) for t in tools), counted=False)


def _apibank(rows: Iterable[Row]) -> Iterator[Item]:
    turns: list[Row] = []
    for row in rows:
        if "messages" in row:
            said = [message["content"] for message in row["messages"] if message["role"] == "user"]
            bare = [text.removesuffix("\nGenerate API Request:") for text in said]
            yield Item((*said, *bare), read_tools(row["tools"]), counted=False)
        elif "turns" in row:
            yield Item(tuple(turn["text"] for turn in row["turns"] if turn["role"] == "User"))
        else:
            turns.append(row)
    if turns:
        yield Item(tuple(turn["text"] for turn in turns if turn["role"] == "User"))


def _acebench(rows: Iterable[Row]) -> Iterator[Item]:
    for row in rows:
        _, *parts = re.split(r"^(user|system):", row["question"], flags=re.MULTILINE)
        said = [text for role, text in zip(parts[::2], parts[1::2], strict=True) if role == "user"]
        tools = read_tools([{**tool, "parameters": tool.get("parameters", tool.get("arguments"))} for tool in row["function"]])
        yield Item((*said, row["question"]), tools)


BENCHMARKS: Mapping[str, Benchmark] = {
    "bfcl": Benchmark("BFCL", "BFCL_v*.json", _bfcl),
    "apibank": Benchmark("API-Bank", "*.jsonl", _apibank),
    "acebench": Benchmark("ACEBench", "data_*.json", _acebench),
}
"""By the name that `toolrl fingerprint` takes."""
