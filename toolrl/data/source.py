"""Where prompts come from: one name, read whole.

| name | is |
|---|---|
| `demo://train`, `demo://heldout`, with `?rows=4096&seed=1` | prompts of the demo task, made on the fly |
| a folder made by `toolrl prepare` | its part `train` or `heldout` |
| any other name that `origin` knows: a file, a folder, a data set of the hub | its rows as they are: no filter, no split |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from toolrl.data.demo.generate import demo_prompts
from toolrl.data.rows import read_rows
from toolrl.data.split import PARTS
from toolrl.data.store import is_prepared, read_prompts
from toolrl.errors import DataError
from toolrl.types import Prompt

DEMO_ROWS = {"train": 4096, "heldout": 512}
"""Prompts of the demo where the name does not say how many."""


def load_prompts(spec: str, *, part: str = "train") -> Sequence[Prompt]:
    """Return all prompts of a name, in order. `part` chooses the file of a prepared folder.

    Raises DataError where there is nothing of that name, nothing in it, or two prompts with one id.
    """
    origin, found = _prompts(spec, part)
    prompts = tuple(found)
    if not prompts:
        raise DataError(f"{origin}: no prompts in it; give it rows, or another name")
    unique_ids(prompts, origin)
    return prompts


def unique_ids(prompts: Sequence[Prompt], origin: str) -> None:
    """Raise DataError if two prompts share an id: rollouts and reports name a prompt by it."""
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise DataError(f"{origin}: two prompts have the id {prompt.id!r}; give each row an `id` of its own")
        seen.add(prompt.id)


def _prompts(spec: str, part: str) -> tuple[str, Iterator[Prompt]]:
    """Return where the prompts of a name are, and the prompts."""
    if spec.startswith("demo://"):
        return spec, _demo(spec)
    folder = Path(spec)
    if any(is_prepared(folder / f"{each}.parquet") for each in PARTS):
        file = folder / f"{part}.parquet"
        if not file.is_file():
            raise DataError(f"{spec}: no {file.name} in this folder; make one with `toolrl prepare ROWS.jsonl --out {spec}`")
        return str(file), read_prompts(file)
    return spec, read_rows(spec)


def _demo(spec: str) -> Iterator[Prompt]:
    url = urlsplit(spec)
    if url.netloc not in PARTS or url.path:
        raise DataError(f"{spec}: expected {' or '.join('demo://' + part for part in PARTS)}, got {url.netloc + url.path!r}; rename it")
    values = {"rows": DEMO_ROWS[url.netloc], "seed": 0}
    for key, text in parse_qsl(url.query, keep_blank_values=True):
        if key not in values or not text.isdecimal():
            raise DataError(f"{spec}: expected rows=NUMBER or seed=NUMBER after the question mark, got {key}={text}; mend it")
        values[key] = int(text)
    return demo_prompts(url.netloc, values["rows"], values["seed"])
