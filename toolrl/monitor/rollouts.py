"""Every completion of a run on disk: what was sampled, what the verifier said of it, and how it was trained.

    Batch ─> fetch a few groups at a time ─> rows ─> .version-000012.parquet.tmp ─> fsync ─> rename to version-000012.parquet

`version-000012` holds the batch that made version 12: the same number as the line of metrics and the checkpoint after it. A row per
completion. A file that has its name is complete. Rows are made in a thread, and only a few groups are in memory at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolrl.monitor.durable import aside_of, publish
from toolrl.monitor.outcomes import Entry, entries_of, failed_entries
from toolrl.monitor.tables import CHECKSUMS, TableKind
from toolrl.types import Batch, Group, TrainedGroup, Verdict

GROUPS_AT_A_TIME = 32
"""Groups whose token arrays are in memory at once."""
SHARE = 8
"""With `rollouts: share`, one group in so many keeps its tokens and texts."""
_NAME = re.compile(r"version-(\d+)\.parquet")
SPAN = pa.struct([("version", pa.int32()), ("start", pa.int32()), ("end", pa.int32())])
SCHEMA = pa.schema(
    [
        ("version", pa.int32()),  # the version this batch made
        ("draw", pa.int64()),
        ("sample", pa.int32()),
        ("attempt", pa.int32()),
        ("trained", pa.bool_()),  # whether its group was in the batch
        ("outcome", pa.string()),  # how its draw ended: see `outcomes`
        ("outcome_reason", pa.string()),  # why it was discarded; null: it was not
        ("prompt_id", pa.string()),
        ("engine", pa.string()),
        ("reward", pa.float64()),  # null: the verifier failed
        ("reason", pa.string()),
        ("path", pa.string()),
        ("expected", pa.string()),
        ("got", pa.string()),
        ("format_right", pa.bool_()),
        ("content_right", pa.bool_()),
        ("bfcl_right", pa.bool_()),  # null: not asked
        ("advantage", pa.float64()),  # as trained; null: replaced
        ("loss_share", pa.float64()),  # what it added to the loss of its optimizer step; null: not trained
        ("num_tokens", pa.int32()),
        ("finish_reason", pa.string()),
        ("oldest_version", pa.int32()),
        # What follows is null where the group was not kept whole.
        ("seed", pa.int64()),
        ("spans", pa.list_(SPAN)),
        ("text", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float32())),
    ]
)
KIND = TableKind(
    SCHEMA,
    nullable=frozenset(
        {"outcome", "outcome_reason", "reward", "bfcl_right", "advantage", "loss_share", "seed", "spans", "text", "tokens", "logprobs"}
    ),
)
REQUIRED = tuple(name for name in SCHEMA.names if name not in ("outcome", "outcome_reason"))
"""Columns that every version of toolrl wrote."""
Fetch = Callable[[Sequence[Any]], Awaitable[Sequence[Group]]]
"""Handles of groups -> the groups."""


class RolloutWriter:
    """Implements `protocols.RolloutLog`.

    Args:
        folder: `rollouts/` of the run; made if it is not there.
        keep: `all`; `share` (tokens and texts of one group in eight, verdicts of all); or `no_tokens` (texts and verdicts of all).
        fetch: Gets groups by their handles.
        attempt: How many times the run was started.
    """

    def __init__(self, folder: Path, *, keep: str, fetch: Fetch, attempt: int) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._keep, self._fetch, self._attempt = folder, keep, fetch, attempt
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts")  # one: a cancelled write still ends before the file is closed

    async def write(self, batch: Batch, trained: Mapping[int, TrainedGroup]) -> None:
        """Write the file of the version that `batch` made."""
        await self.write_entries(batch.version + 1, entries_of(batch), trained)

    async def keep_failed(self, batch: Batch, why: str) -> None:
        """Write a batch that could not be trained into `discarded/attempt-k`, under the version it would have made."""
        folder = discarded_folder(self._folder.parent, self._attempt)
        folder.mkdir(parents=True, exist_ok=True)
        await self.write_entries(batch.version + 1, failed_entries(batch, why), {}, folder)

    async def write_entries(
        self, version: int, entries: Sequence[Entry], trained: Mapping[int, TrainedGroup], folder: Path | None = None
    ) -> None:
        """Write the file of `version`: every draw that ended with it, in draw order, and how those of the batch were trained."""
        file = _File((folder or self._folder) / file_name(version))
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._thread)
        try:
            for start in range(0, len(entries), GROUPS_AT_A_TIME):
                chunk = entries[start : start + GROUPS_AT_A_TIME]
                groups = await self._groups(chunk)
                await in_thread(self._add, file, version, chunk, groups, trained)
            await in_thread(file.publish)
        finally:
            await in_thread(file.abandon)

    async def _groups(self, chunk: Sequence[Entry]) -> dict[int, Group]:
        """Fetch those that are kept whole, by draw."""
        refs = [entry.scored.group for entry in chunk]
        handles = [ref.handle for ref in refs if self._keep != "share" or ref.draw % SHARE == 0]
        return {group.draw.number: group for group in await self._fetch(handles)} if handles else {}

    def _add(
        self,
        file: _File,
        version: int,
        chunk: Sequence[Entry],
        groups: Mapping[int, Group],
        trained: Mapping[int, TrainedGroup],
    ) -> None:
        draws = [entry.scored.group.draw for entry in chunk]
        tokens = self._keep != "no_tokens"
        rows = (
            row
            for draw, entry in zip(draws, chunk, strict=True)
            for row in _rows(entry, trained.get(draw), groups.get(draw), tokens=tokens)
        )
        file.add([{"version": version, "attempt": self._attempt, **row} for row in rows])


class _File:
    """A Parquet file that gets its name when it is complete, or disappears."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(aside_of(path), SCHEMA, **CHECKSUMS)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Write a row group."""
        self._writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))

    def publish(self) -> None:
        """Finish the file and give it its name."""
        self._writer.close()
        publish(self._path)

    def abandon(self) -> None:
        """Remove what has no name yet."""
        self._writer.close()
        aside_of(self._path).unlink(missing_ok=True)


def discarded_folder(run: Path, attempt: int) -> Path:
    """Return where a run keeps what `attempt` made and a rewind took out of its lineage."""
    return run / "discarded" / f"attempt-{attempt}"


def file_name(version: int) -> str:
    """Return the name of a version's file."""
    return f"version-{version:06d}.parquet"


def files(folder: Path) -> dict[int, Path]:
    """Return the complete files of `rollouts/` by version, in order."""
    named = ((_NAME.fullmatch(path.name), path) for path in sorted(folder.glob("version-*.parquet")))
    return {int(name[1]): path for name, path in named if name is not None}


def read(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of every version, in draw order; only `columns` where given. Raises RunFolderError."""
    wanted = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    return pa.concat_tables([wanted.empty_table(), *(table for _, table in stream(folder, columns))])


def stream(folder: Path, columns: Sequence[str] | None = None, versions: Container[int] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Yield (version, its rows in draw order) version by version, so that the texts of one are in memory; of `versions` where given.

    Raises RunFolderError.
    """
    for version, path in files(folder).items():
        if versions is None or version in versions:
            yield version, read_file(path, columns or SCHEMA.names)


def read_file(path: Path, columns: Sequence[str]) -> pa.Table:
    """Return the rows of one file in draw order, `columns` of them. Raises RunFolderError where it is none that a run wrote."""
    return KIND.read(path, columns)


def find(folder: Path, draw: int, columns: Sequence[str]) -> pa.Table:
    """Return the rows of one draw, none where no file has it; `columns` with `draw` among them. Raises RunFolderError.

    Of other row groups only the numbers are read.
    """
    for path in files(folder).values():
        if (rows := find_in(path, draw, columns)).num_rows:
            return rows
    return pa.schema([SCHEMA.field(name) for name in columns]).empty_table()


def find_in(path: Path, draw: int, columns: Sequence[str]) -> pa.Table:
    """Return the rows of one draw in one file, as `find` does."""
    with KIND.open(path, columns) as file:
        groups = [i for i in range(file.num_row_groups) if draw in file.read_row_group(i, ["draw"]).column("draw").to_numpy()]
        count = sum(file.metadata.row_group(i).num_rows for i in groups)
        rows = KIND.checked(path, file.read_row_groups(groups, list(columns)), count)
    return rows.filter(pc.equal(rows.column("draw"), draw))


def _rows(entry: Entry, trained: TrainedGroup | None, group: Group | None, *, tokens: bool) -> list[dict[str, Any]]:
    """Return a row for each completion; `trained` is None for a group outside the batch, `group` where only verdicts are kept."""
    ref = entry.scored.group
    rows: list[dict[str, Any]] = []
    for i, verdict in enumerate(entry.scored.verdicts):
        row: dict[str, Any] = {
            "draw": ref.draw,
            "sample": i,
            "trained": trained is not None,
            "outcome": str(entry.outcome),
            "outcome_reason": entry.why or None,
            "prompt_id": ref.prompt_id,
            "engine": ref.engine,
            **verdict_columns(verdict),
            "advantage": trained.advantages[i] if trained else None,
            "loss_share": trained.loss_shares[i] if trained else None,
            "num_tokens": ref.completion_tokens[i],
            "finish_reason": "length" if ref.truncated[i] else "stop",
            "oldest_version": ref.oldest[i],
        }
        if group is not None:
            completion = group.completions[i]
            row["seed"] = completion.seed
            row["spans"] = [{"version": span.version, "start": span.start, "end": span.end} for span in completion.spans]
            row["text"] = storable(completion.text)
            row["finish_reason"] = completion.finish_reason
            if tokens:
                row["tokens"], row["logprobs"] = completion.token_ids, completion.logprobs
        rows.append(row)
    return rows


def verdict_columns(verdict: Verdict) -> dict[str, Any]:
    """Return the columns of a verdict."""
    return {
        "reward": verdict.reward,
        "reason": str(verdict.reason),
        "path": verdict.path,
        "expected": storable(verdict.expected),
        "got": storable(verdict.got),
        "format_right": verdict.format_right,
        "content_right": verdict.content_right,
        "bfcl_right": verdict.bfcl_right,
    }


def storable(text: str) -> str:
    """Return `text` without lone surrogates, which a decoder of model output can make and UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
