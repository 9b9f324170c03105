"""Where demonstrations come from: a prompt and the completion to imitate, for supervised training.

| name | is |
|---|---|
| `demo://sft`, with `?rows=16384&seed=1&fault_percent=45` | demonstrations of the demo task, made on the fly |
| any other | JSONL rows as `rows` reads them, each with the text of its answer under `completion` |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from toolrl.data.demo.demonstrations import demo_demonstrations
from toolrl.data.jsonfile import json_rows
from toolrl.data.rows import to_prompt
from toolrl.errors import DataError
from toolrl.types import Prompt

_DEMO = {"rows": 16384, "seed": 0, "fault_percent": 45}


def load_demonstrations(spec: str) -> Sequence[tuple[Prompt, str]]:
    """Return the demonstrations of a name, in order. Raises DataError where there are none, or a row has no completion."""
    found = tuple(_demo(spec) if spec.startswith("demo://") else _rows(Path(spec)))
    if not found:
        raise DataError(f"{spec}: no demonstrations in it; give it rows, or another name")
    return found


def _rows(path: Path) -> Iterator[tuple[Prompt, str]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a JSONL file with one row a line")
    for number, row in json_rows(path):
        place = f"{path.name}:{number}"
        text = row.get("completion") if isinstance(row, dict) else None
        if not isinstance(text, str) or not text:
            raise DataError(f"{place}: expected the text to imitate under `completion`, got {text!r}; add it, or train with `toolrl rl`")
        try:
            yield to_prompt(row, default_id=place, default_source=path.name), text
        except DataError as error:
            raise DataError(f"{place}: {error}") from error


def _demo(spec: str) -> Iterator[tuple[Prompt, str]]:
    url = urlsplit(spec)
    values = dict(_DEMO)
    if url.netloc != "sft" or url.path:
        raise DataError(f"{spec}: expected demo://sft, got {url.netloc + url.path!r}; rename it")
    for key, text in parse_qsl(url.query, keep_blank_values=True):
        if key not in values or not text.isdecimal():
            raise DataError(f"{spec}: expected {', '.join(f'{name}=NUMBER' for name in values)}, got {key}={text}; mend it")
        values[key] = int(text)
    return demo_demonstrations(values["rows"], values["seed"], values["fault_percent"] / 100)
