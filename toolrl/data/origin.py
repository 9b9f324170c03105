"""A name of raw data -> its rows, one at a time. The only door to the `datasets` library.

| name | is |
|---|---|
| `x.jsonl`, `x.json` or any file that is none of the others | JSON, a value a line or one array; read exactly, never whole |
| `x.parquet`, `x.arrow` | a table, streamed |
| a folder written by `save_to_disk` | its table, `train` where it holds several |
| a folder written by `toolrl distill` | its `demonstrations.jsonl`, and nothing of what lies beside it |
| any other folder | the files of data in it, or below it if none is; only those named `train` where some are |
| `owner/name`, `hf://owner/name` | a data set of the Hugging Face hub, streamed: `train` where it has several splits |

`:split` behind a folder or a data set chooses another split, and `:configuration:split` one of a set that has several configurations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from toolrl.data.hub import hub_answers, hub_is_off
from toolrl.data.inside import is_inside, is_plain
from toolrl.data.jsonfile import json_rows
from toolrl.errors import DataError, UserError
from toolrl.types import Json

TRAIN = "train"
DEMONSTRATIONS = "demonstrations.jsonl"

_TABLES = {".parquet": "parquet", ".arrow": "arrow"}
_SUFFIXES = (*_TABLES, ".json", ".jsonl")
_NO_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "report.json", "config.json"})
_HUB = re.compile(r"(?:hf://(?:datasets/)?)?([\w.-]+/[\w.-]+)((?::[\w.-]+){0,2})")


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
    """Return the rows of a name. Raises UserError at once, or within seconds, where there is nothing of that name."""
    path, _, split = spec.rpartition(":")
    if Path(spec).exists():
        path, split = spec, ""
    if path and Path(path).is_dir():
        return _folder(Path(path), split)
    if Path(spec).is_file():
        return _file(Path(spec), spec, Path(spec).name)
    found = _HUB.fullmatch(spec)
    if found and (spec.startswith("hf://") or not _is_local(found[1])):
        return _hub(found[1], found[2].split(":")[1:])
    raise DataError(f"{spec}: no such file or folder; give a JSONL file, another file or folder of rows, or a data set of the hub")


def _is_local(name: str) -> bool:
    return name.endswith(_SUFFIXES) or name.startswith(".") or Path(name).parent.is_dir()


def _file(file: Path, place: str, name: str) -> Iterator[Raw]:
    if kind := _TABLES.get(file.suffix):
        return _named(_table(kind, file), place, name, file.name)
    return (Raw(f"{place}:{number}", f"{name}:{number}", file.name, row, file) for number, row in json_rows(file))


def _folder(folder: Path, split: str) -> Iterator[Raw]:
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return _named(_saved(folder, split), str(folder), folder.name, folder.name)
    if not split and (folder / DEMONSTRATIONS).is_file():
        return _file(_own(folder / DEMONSTRATIONS, folder), str(folder / DEMONSTRATIONS), f"{folder.name}/{DEMONSTRATIONS}")
    below = sorted(_own(file, folder) for file in folder.rglob("*") if _holds_data(file.relative_to(folder)) and file.is_file())
    files = [file for file in below if file.parent == folder] or below
    of_split = [file for file in files if (split or TRAIN) in re.split(r"[^a-z0-9]+", str(file.relative_to(folder)).lower())]
    if split and not of_split:
        names = ", ".join(str(file.relative_to(folder)) for file in files[:8])
        raise DataError(f"{folder}: no file of the split {split!r} among {names or 'none'}; name another split")
    if not files:
        raise DataError(f"{folder}: no data in it; give a folder that holds {', '.join(_SUFFIXES)} files")
    chosen = of_split or files
    return (raw for file in chosen for raw in _file(file, str(file), str(Path(folder.name) / file.relative_to(folder))))


def _own(file: Path, folder: Path) -> Path:
    """Return a file of a folder. Raises DataError where it is a link out of it."""
    if not is_inside(file, folder):
        raise DataError(f"{file}: a link to {file.resolve()}, outside the folder; put the file itself there, or name it by itself")
    return file


def _holds_data(file: Path) -> bool:
    return file.suffix in _SUFFIXES and file.name not in _NO_DATA and not any(part.startswith((".", "_")) for part in file.parts)


def _hub(name: str, parts: list[str]) -> Iterator[Raw]:
    if not hub_is_off() and not hub_answers():
        raise UserError(
            f"{name}: no such file or folder, and the Hugging Face hub cannot be reached; give a local copy, "
            "or set HF_HUB_OFFLINE=1 to use what its client has cached"
        )
    return _named(_hub_table(name, parts), name, name, name)


def _hub_table(name: str, parts: list[str]) -> Any:
    import datasets

    configuration, split = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0] if parts else None)
    try:
        found = datasets.load_dataset(name, configuration, split=split, streaming=True)
    except _failures() as error:
        raise UserError(
            f"{name}: cannot be loaded from the hub ({type(error).__name__}: {error}); check the name, owner/name:split or "
            "owner/name:configuration:split, accept its terms on the hub and log in if it is gated, or give a local copy"
        ) from error
    return found if split else _train(found, name)


def _saved(folder: Path, split: str) -> Any:
    import datasets

    _require_own_files(folder)
    try:
        found = datasets.load_from_disk(str(folder))
    except _failures() as error:
        raise DataError(f"{folder}: cannot be read as a folder of `save_to_disk` ({error}); write it anew") from error
    if not isinstance(found, datasets.DatasetDict):
        return found.to_iterable_dataset()
    if split and split not in found:
        raise DataError(f"{folder}: no split {split!r} among {', '.join(found)}; name another")
    return (found[split] if split else _train(found, str(folder))).to_iterable_dataset()


def _require_own_files(folder: Path) -> None:
    """Raise DataError where a folder of `save_to_disk` names files that are not its own."""
    for index in sorted(folder.rglob("*.json")):
        named = _named_files(index)
        odd = [name for name in named if not (is_plain(name) and is_inside(index.parent / name, folder))]
        if odd:
            raise DataError(f"{index}: names {odd[0]!r}, outside the folder; write the folder anew")


def _named_files(index: Path) -> list[Any]:
    """Return the files and folders that an index of `save_to_disk` names; what cannot be read as one is left to who reads it."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        return [*content.get("splits", []), *(file["filename"] for file in content.get("_data_files") or [])]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _train(splits: Any, name: str) -> Any:
    """Return the split to train on, or the only one."""
    if TRAIN not in splits and len(splits) != 1:
        raise DataError(f"{name}: got the splits {', '.join(splits)}; name one, as in {name}:{next(iter(splits), 'split')}")
    return splits[TRAIN] if TRAIN in splits else next(iter(splits.values()))


def _table(kind: str, file: Path) -> Any:
    import datasets

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it logs as an error it raises too
    try:
        return datasets.load_dataset(kind, data_files=[str(file.resolve())], split=TRAIN, streaming=True)
    except _failures() as error:
        raise DataError(f"{file}: cannot be read as {kind} ({type(error).__name__}: {error}); write it anew") from error


def _named(table: Iterable[Any], place: str, name: str, source: str) -> Iterator[Raw]:
    return (Raw(f"{place}:{number}", f"{name}:{number}", source, row) for number, row in enumerate(_rows(table, place), start=1))


def _rows(table: Iterable[Any], place: str) -> Iterator[Json]:
    rows, failures, number = iter(table), _failures(), 0
    while True:
        number += 1
        try:
            row = next(rows, None)
            clean = _json(row)
        except failures as error:
            raise DataError(f"{place}:{number}: cannot be read ({type(error).__name__}: {error}); mend the data, or try again") from error
        if row is None:
            return
        yield clean


def _failures() -> tuple[type[Exception], ...]:
    """Return what `datasets`, Arrow and the hub's client raise for data that is not there, or cannot be read."""
    from datasets.exceptions import DatasetsError
    from httpx import HTTPError

    return OSError, ValueError, KeyError, RuntimeError, DatasetsError, HTTPError


def _json(value: Any) -> Json:
    """Return a value of an Arrow table as JSON.

    A struct holds every key that any row has, null where a row has none, so a key that is null is left out. Sets that must tell an absent
    argument from null hold them as JSON text; numbers of such a struct are what Arrow made of them.
    """
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} is no JSON number")
        return Decimal(repr(value))
    if value is None or isinstance(value, str | int):
        return value
    return str(value)  # a date; what it is matters to no format
