"""Where demonstrations come from: a prompt and the completion to imitate, for supervised training.

| name | is |
|---|---|
| `demo://sft`, with `?rows=16384&seed=1&fault_percent=45` | demonstrations of the demo task, made on the fly |
| `demo://sft-heldout`, with the same | the same of its held-out prompts, without faults where none are asked for |
| any other that `origin` knows: a file, a folder | rows of messages, each with the text of an answer under `completion` |

A row is the same prompt here as for `toolrl rl`, which learns from its `answer` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlsplit

from toolrl.calls.parse import without_think
from toolrl.data.demo.demonstrations import demo_demonstrations
from toolrl.data.origin import raw_rows
from toolrl.data.rows import to_prompt
from toolrl.errors import DataError
from toolrl.types import Prompt

Demonstrated = tuple[Prompt, str]
"""A prompt and the completion to imitate."""

_DEMOS = {
    "sft": ("train", {"rows": 16384, "seed": 0, "fault_percent": 45}),
    "sft-heldout": ("heldout", {"rows": 512, "seed": 0, "fault_percent": 0}),
}


def load_demonstrations(spec: str) -> Sequence[Demonstrated]:
    """Return the demonstrations of a name, in order. Raises DataError where there are none, or a row has no completion."""
    found = tuple(_demo(spec) if spec.startswith("demo://") else _rows(spec))
    if not found:
        raise DataError(f"{spec}: no demonstrations in it; give it rows, or another name")
    return found


def without_reasoning(rows: Sequence[Demonstrated]) -> Sequence[Demonstrated]:
    """Return demonstrations of the calls alone. Raises DataError where a completion is nothing but reasoning."""
    cut = tuple((prompt, without_think(text)) for prompt, text in rows)
    for prompt, text in cut:
        if not text.strip():
            raise DataError(
                f"data.reasoning: the completion of {prompt.id} is reasoning and nothing more; remove it, or set data.reasoning=true"
            )
    return cut


def _rows(spec: str) -> Iterator[Demonstrated]:
    for raw in raw_rows(spec):
        text = raw.row.get("completion") if isinstance(raw.row, dict) else None
        if not isinstance(text, str) or not text:
            raise DataError(
                f"{raw.place}: expected the text to imitate under `completion`, got {text!r}; add it, or train with `toolrl rl`"
            )
        try:
            yield to_prompt(raw.row, default_id=raw.name, default_source=raw.source), text
        except DataError as error:
            raise DataError(f"{raw.place}: {error}") from error


def _demo(spec: str) -> Iterator[Demonstrated]:
    url = urlsplit(spec)
    if url.netloc not in _DEMOS or url.path:
        raise DataError(f"{spec}: expected {' or '.join('demo://' + name for name in _DEMOS)}, got {url.netloc + url.path!r}; rename it")
    split, values = _DEMOS[url.netloc]
    values = dict(values)
    for key, text in parse_qsl(url.query, keep_blank_values=True):
        if key not in values or not text.isdecimal():
            raise DataError(f"{spec}: expected {', '.join(f'{name}=NUMBER' for name in values)}, got {key}={text}; mend it")
        values[key] = int(text)
    return demo_demonstrations(values["rows"], values["seed"], values["fault_percent"] / 100, split=split)
