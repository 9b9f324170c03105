"""Raw rows -> prompts, one row at a time.

    spec ─ origin ─> JSON row ─ format ─> Dialogue ─ steps ─> Prompts

The format is told row by row (`formats.registry`), or named. A row of the user's own that cannot become a Prompt is a DataError that
names the place, what was got and what to do; one of a published set, which the user cannot mend, comes without prompts and says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolrl.data.chat import chat_prompt
from toolrl.data.formats.registry import FORMATS, Format, find_format, format_of
from toolrl.data.origin import Raw, raw_rows
from toolrl.data.split import PARTS
from toolrl.data.steps import Origin, is_multi_turn, steps, trained_steps
from toolrl.data.store import is_prepared, read_prompts
from toolrl.errors import DataError
from toolrl.types import Json, Prompt


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it came."""

    place: str
    """Where it stands, as in `rows.jsonl:3`."""
    kind: str
    """Its format, by its name for people; empty where it has none."""
    multi_turn: bool
    """Whether the assistant has spoken before its last step."""
    unreadable: str = ""
    """Why no prompt could be made of it; empty: it was read."""
    licence: str = ""
    """What it states under `licence` or `license`."""


def read_prompts_of(
    spec: str | Path, format: str = "auto", *, skip_unreadable: bool = False
) -> Iterator[tuple[RawRow, tuple[Prompt, ...]]]:
    """Return each row of `spec` with its single-step prompts, one for every turn of the assistant; no-call steps have an empty reference.

    A row of a published set that cannot be read has `unreadable` set and no prompts; with `skip_unreadable` so has any row that is JSON.
    Raises DataError for the others while they are read, and UserError at once where there is nothing of that name.
    """
    named = find_format(format)
    if prepared := _prepared_files(Path(spec)):
        return _prepared(prepared)
    return (_read(raw, named, skip_unreadable) for raw in raw_rows(str(spec)))


def read_rows(spec: str | Path) -> Iterator[Prompt]:
    """Yield the prompts to train on of every row: its steps that make calls, or its last where none does. Raises DataError."""
    for row, prompts in read_prompts_of(spec):
        if row.unreadable:
            raise DataError(f"{row.place}: {row.unreadable}; leave such rows out with `toolrl prepare`")
        yield from trained_steps(prompts)


def to_prompt(row: Json, *, default_id: str, default_source: str) -> Prompt:
    """Return the one prompt of a row of messages. Raises DataError without a place."""
    if isinstance(row, dict) and "messages" in row:
        return chat_prompt(row, default_id=default_id, default_source=default_source)
    raise DataError("expected an object with `messages`, `tools` and `answer` or the OpenAI chat form; convert the row")


def _prepared_files(path: Path) -> list[Path]:
    files = [path / f"{part}.parquet" for part in PARTS] if path.is_dir() else [path]
    return [file for file in files if is_prepared(file)]


def _prepared(files: list[Path]) -> Iterator[tuple[RawRow, tuple[Prompt, ...]]]:
    for file in files:
        for number, prompt in enumerate(read_prompts(file), start=1):
            yield RawRow(f"{file}:{number}", FORMATS["chat"].kind, is_multi_turn((prompt,))), (prompt,)


def _read(raw: Raw, named: Format | None, skip_unreadable: bool) -> tuple[RawRow, tuple[Prompt, ...]]:
    chosen = named
    try:
        chosen = chosen or format_of(raw.row)
        if not isinstance(raw.row, dict):
            raise DataError(f"expected an object, got a {type(raw.row).__name__}; convert the row")
        prompts = steps(chosen.read(raw.row, Origin(raw.name, raw.source, raw.file)))
    except DataError as error:
        if skip_unreadable or (chosen and not chosen.mendable):
            return RawRow(raw.place, chosen.kind if chosen else "", multi_turn=False, unreadable=str(error)), ()
        raise DataError(f"{raw.place}: {error}") from error
    licence = raw.row.get("licence", raw.row.get("license"))
    return RawRow(raw.place, chosen.kind, is_multi_turn(prompts), licence=licence if isinstance(licence, str) else ""), prompts
