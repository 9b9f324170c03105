"""Parquet files that a command of ours wrote, read back as what they are: the columns they must have, of their types, whole.

    file ─ is it one, and readable to the end? ─ columns, types ─ checksums, UTF-8, no value missing that must be there ─> table

Writers put a checksum on each page (CHECKSUMS), so that a flipped bit is no other number. Whatever is wrong is one message with the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from toolrl.errors import RunFolderError, UserError

CHECKSUMS: Final[dict[str, Any]] = {"compression": "zstd", "write_page_checksum": True}
"""How our files are written."""


@dataclass(frozen=True)
class TableKind:
    """What a file must hold, and what is said where it does not."""

    schema: pa.Schema
    nullable: Collection[str] = ()
    """Columns in which a value may be missing."""
    error: type[UserError] = RunFolderError
    remedy: str = "put back the file that the run wrote"
    foreign: str = "the file is not of this run, or of another version of toolrl"

    @contextmanager
    def open(self, path: Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
        """Give a file that has `columns`; what its reader raises is told with its name. Raises `error`."""
        if not path.is_file():  # a pipe would be waited for without end
            raise self.error(f"{path}: no such file; {self.remedy}")
        with self.told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow
            if missing := [name for name in columns if not self._holds(found, name)]:
                raise self.error(f"{path}: no column {', '.join(missing)}; {self.foreign}")
            end = file.metadata  # what it says of a column is not asked for: where it is damaged, pyarrow ends this process
            if end.num_rows != sum(end.row_group(i).num_rows for i in range(end.num_row_groups)):
                raise self.error(f"{path}: not a readable Parquet file (its end counts its rows in two ways); {self.remedy}")
            yield file

    def _holds(self, found: pa.Schema, name: str) -> bool:
        return bool(found.names.count(name) == 1 and found.field(name).equals(self.schema.field(name)))

    def read(self, path: Path, columns: Sequence[str]) -> pa.Table:
        """Return the named columns of a file. Raises `error`."""
        with self.open(path, columns) as file:
            return self.checked(path, file.read(list(columns)), file.metadata.num_rows)

    def checked(self, path: Path, table: pa.Table, rows: int) -> pa.Table:
        """Return a table read from a file, which says that it has so many rows, after a look at each value. Raises `error`."""
        with self.told(path):
            table.validate(full=True)
        if table.num_rows != rows:
            raise self.error(f"{path}: not a readable Parquet file ({table.num_rows} rows, and its end counts {rows}); {self.remedy}")
        empty = [name for name in table.column_names if name not in self.nullable and table.column(name).null_count]
        if empty:
            raise self.error(f"{path}: no value in a row of {', '.join(empty)}; {self.remedy}")
        return table

    @contextmanager
    def told(self, path: Path) -> Iterator[None]:
        """Say of which file it is whatever Arrow finds wrong with it. Raises `error`."""
        try:
            yield
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())
            raise self.error(f"{path}: not a readable Parquet file ({why}); {self.remedy}") from error
