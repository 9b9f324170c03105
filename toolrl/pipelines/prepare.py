"""`toolrl prepare`: raw rows in, a folder of clean prompts out.

    JSONL ─ read_rows ─> Prompt ─ Filters ─> side(dialogue) ─┬─> train.parquet
                                                             └─> heldout.parquet      report.json  report.md

One pass, a row at a time. The folder is written aside and renamed when it is whole: there is a prepared folder or none. The same rows and
settings give the same bytes. A second run replaces the folder; one that holds something else is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from toolrl.data.filters import REASONS, Filters
from toolrl.data.fingerprint import DIGEST_BYTES
from toolrl.data.report import page, quantiles, summary
from toolrl.data.rows import read_rows
from toolrl.data.split import PARTS, side
from toolrl.data.store import PromptWriter
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.pipelines.inputs import resolve_model
from toolrl.types import Prompt

FORMAT = "toolrl.prepared/1"
"""Marks a prepared folder, in its report.json."""


def prepare(
    inputs: Sequence[str],
    *,
    out: Path,
    tokenizer: str | None,
    template: str,
    max_prompt_tokens: int,
    heldout_share: float,
    seed: int,
) -> Mapping[str, Any]:
    """Filter and split the rows of `inputs` into the folder `out`; return the report that lies in it.

    Without a tokenizer no prompt is too long, and lengths are in characters. Raises UserError: ConfigError for the settings, DataError
    for the rows, both before anything is left behind.
    """
    out = out.resolve()
    _check(inputs, out, max_prompt_tokens, heldout_share)
    length = _length(tokenizer, PromptTemplate.load(template))
    filters = Filters(length=length, max_length=max_prompt_tokens if tokenizer else None)
    settings = {
        "tokenizer": tokenizer,
        "template": template,
        "max_prompt_tokens": max_prompt_tokens,
        "heldout_share": heldout_share,
        "seed": seed,
    }
    with _whole_folder(out) as folder:
        rows, kept, lengths = _write(inputs, folder, filters, lambda prompt: side(prompt.dialogue, heldout_share=heldout_share, seed=seed))
        report = {
            "format": FORMAT,
            "settings": settings,
            "inputs": rows,
            "rows_in": sum(rows.values()),
            "kept": kept,
            "dropped": {reason: vars(filters.dropped[reason]) for reason in REASONS if reason in filters.dropped},
            "prompt_length": {"unit": "tokens" if tokenizer else "characters", **quantiles(lengths)},
        }
        if not lengths:
            raise DataError(f"none of {report['rows_in']} rows is left\n{summary(report)}\nmend the rows, or raise max_prompt_tokens")
        _write_text(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        _write_text(folder / "report.md", page(report))
    return report


def _check(inputs: Sequence[str], out: Path, max_prompt_tokens: int, heldout_share: float) -> None:
    problems = [f"{path}: no such file; give JSONL files with one row a line" for path in inputs if not Path(path).is_file()]
    if not inputs:
        problems.append("inputs: got none; give JSONL files with one row a line")
    if not 0 <= heldout_share < 1:
        problems.append(f"heldout_share: got {heldout_share}; give a share from 0 to below 1")
    if max_prompt_tokens < 1:
        problems.append(f"max_prompt_tokens: got {max_prompt_tokens}; set it to 1 or more")
    if problems:
        raise ConfigError(problems)
    if out.exists() and not _replaceable(out):
        raise UserError(f"{out}: exists and is no prepared folder; name another one, or remove it yourself")


def _replaceable(out: Path) -> bool:
    if not out.is_dir():
        return False
    report = out / "report.json"
    return not any(out.iterdir()) or (report.is_file() and f'"{FORMAT}"' in report.read_text(encoding="utf-8", errors="replace"))


def _length(tokenizer: str | None, template: PromptTemplate) -> Callable[[Prompt], int]:
    """Return how long a prompt is: in tokens as it will be sampled, or in characters where there is no tokenizer."""
    if tokenizer is None:
        return lambda prompt: sum(len(turn["content"]) for turn in template.render(prompt))
    chat = ChatTokenizer(resolve_model(tokenizer))
    return lambda prompt: len(chat.encode_prompt(prompt, template))


def _write(
    inputs: Sequence[str], folder: Path, filters: Filters, side_of: Callable[[Prompt], str]
) -> tuple[dict[str, int], dict[str, int], array[int]]:
    """Write the kept prompts; return the rows of each input, the prompts of each part, and the lengths of all prompts kept."""
    rows: dict[str, int] = dict.fromkeys(inputs, 0)
    lengths = array("q")
    ids: set[bytes] = set()
    with ExitStack() as stack:
        writers = {part: stack.enter_context(PromptWriter(folder / f"{part}.parquet")) for part in PARTS}
        for path in rows:
            for prompt in read_rows(path):
                rows[path] += 1
                if (length := filters.keep(prompt)) is not None:
                    _claim(prompt.id, ids, path)
                    lengths.append(length)
                    writers[side_of(prompt)].write(prompt)
        return rows, {part: writer.written for part, writer in writers.items()}, lengths


def _claim(prompt_id: str, ids: set[bytes], path: str) -> None:
    key = blake2b(prompt_id.encode(), digest_size=DIGEST_BYTES).digest()
    if key in ids:
        raise DataError(f"{path}: the id {prompt_id!r} was given to an earlier row; give each row an `id` of its own")
    ids.add(key)


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into; it becomes `out` when all went well, and is removed when not."""
    aside, replaced = (out.with_name(f".{out.name}.{what}") for what in ("partial", "replaced"))
    made = [parent for parent in out.parents if not parent.exists()]
    try:
        _clear(out, aside, replaced)  # what a killed run left
        aside.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}: {error.filename}); name a folder that can be") from error
    try:
        yield aside
        if out.exists():
            out.rename(replaced)
        aside.rename(out)
        _sync(out.parent)
    finally:
        _clear(out, aside, replaced)
        if not out.exists():
            for parent in made:
                if parent.exists() and not any(parent.iterdir()):
                    parent.rmdir()


def _clear(out: Path, aside: Path, replaced: Path) -> None:
    """Remove what lies beside `out`; the former folder comes back if the new one did not take its place."""
    if replaced.exists() and not out.exists():
        replaced.rename(out)
    for folder in (aside, replaced):
        if folder.exists():
            shutil.rmtree(folder)


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make a rename in `folder` outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
