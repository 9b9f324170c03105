"""Tables are read back as what they were written, or not at all: a flipped bit, a missing value or another type is one message."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor.tables import CHECKSUMS, TableKind

SCHEMA = pa.schema([("draw", pa.int64()), ("text", pa.string())])
KIND = TableKind(SCHEMA, nullable=("text",))


@pytest.fixture
def write(tmp_path):
    def make(rows, schema=SCHEMA):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "t.parquet", **CHECKSUMS)
        return tmp_path / "t.parquet"

    return make


def test_what_was_written_is_read(write):
    rows = [{"draw": 1, "text": "a"}, {"draw": 2, "text": None}]
    assert KIND.read(write(rows), ("text", "draw")).to_pylist() == rows


@pytest.mark.parametrize(
    ("rows", "schema", "said"),
    [
        ([{"draw": None, "text": "a"}], SCHEMA, "no value in a row of draw"),
        ([{"draw": "1", "text": "a"}], pa.schema([("draw", pa.string()), ("text", pa.string())]), "no column draw"),
        ([{"text": "a"}], pa.schema([("text", pa.string())]), "no column draw"),
        ([], pa.schema([("draw", pa.int64()), ("text", pa.string()), ("draw", pa.int64())]), "no column draw"),
    ],
)
def test_a_table_of_another_kind_is_refused_by_its_column(write, rows, schema, said):
    path = write(rows, schema)
    with pytest.raises(RunFolderError, match=f"{path}: {said}"):
        KIND.read(path, SCHEMA.names)


def test_no_flipped_bit_is_read_as_another_value(write):
    rows = [{"draw": number, "text": f"text {number}"} for number in range(50)]
    path = write(rows)
    whole = path.read_bytes()
    refused = 0
    for place in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << place % 8
        path.write_bytes(broken)
        try:
            assert KIND.read(path, SCHEMA.names).to_pylist() == rows, place  # a bit of what nobody reads, as of who wrote it
        except RunFolderError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
    assert refused > 3 * len(whole)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t.parquet")
    with pytest.raises(RunFolderError, match="no such file"):
        KIND.read(tmp_path / "t.parquet", SCHEMA.names)
