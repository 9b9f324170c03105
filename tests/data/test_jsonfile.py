import json
import os
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.data import jsonfile
from toolrl.data.jsonfile import json_rows
from toolrl.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_an_array_and_lines_give_the_same_rows(tmp_path):
    rows = [{"a": 1}, {"b": [1.5, "x"]}, {}]
    lines = written(tmp_path / "x.jsonl", "\n".join(map(json.dumps, rows)))
    array = written(tmp_path / "x.json", "\ufeff \n" + json.dumps(rows, indent=2) + "\n")
    assert list(json_rows(lines)) == list(json_rows(array)) == [(1, {"a": 1}), (2, {"b": [Decimal("1.5"), "x"]}), (3, {})]


@settings(max_examples=60)
@given(rows=st.lists(VALUES, max_size=8), indent=st.sampled_from([None, 1]), chunk=st.integers(1, 40))
def test_an_array_is_read_whole_however_it_falls_into_chunks(tmp_path_factory, rows, indent, chunk):
    path = written(tmp_path_factory.mktemp("array") / "x.json", json.dumps(rows, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonfile, "CHUNK_CHARS", chunk)
        assert [row for _, row in json_rows(path)] == rows


def test_numbers_keep_their_digits_and_objects_their_keys_where_arrow_changes_both(tmp_path):
    import datasets

    rows = [{"n": 1, "a": {"x": 1}}, {"n": 0.1, "a": {"y": 12345678901234567890123}}]
    path = written(tmp_path / "x.jsonl", "\n".join(map(json.dumps, rows)))
    assert [str(row["n"]) for _, row in json_rows(path)] == ["1", "0.1"]
    assert [row["a"] for _, row in json_rows(path)] == [{"x": 1}, {"y": 12345678901234567890123}]
    table = datasets.Dataset.from_list([{"n": 1, "a": {"x": 1}}, {"n": 0.1, "a": {"y": 2.5}}])
    assert table[0] == {"n": 1.0, "a": {"x": 1, "y": None}}
    assert type(table[0]["n"]) is float


def test_a_large_array_is_never_held_whole(tmp_path):
    path = written(tmp_path / "x.json", json.dumps([{"text": "x" * 1000}] * 20_000))
    tracemalloc.start()
    assert sum(1 for _ in json_rows(path)) == 20_000
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2e6 < path.stat().st_size


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[{"a": 1}, {"a": ]', "x.json:2: not an array"),
        ('[{"a": 1} {"a": 2}]', "expected ','"),
        ('[{"a": 1}', "got the end of the file"),
        ('[{"a": 1}] x', "more text after the array"),
        (b'[{"a": "\xff"}]', "UTF-8"),
        ("[" * 5000, "nested deeper"),
        ('[{"a": NaN}]', "NaN is not JSON"),
        ('[{"a": 1, "a": 2}]', "stands twice"),
    ],
)
def test_a_damaged_array_is_named_by_file_and_element(tmp_path, text, what):
    with pytest.raises(DataError) as caught:
        list(json_rows(written(tmp_path / "x.json", text)))
    assert what in str(caught.value)


def test_a_file_that_may_not_be_read_is_the_users_to_change(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(DataError, match=r"x\.json: cannot be read \(Permission denied\); "):
        list(json_rows(tmp_path / "x.json"))


def test_an_empty_array_has_no_rows(tmp_path):
    assert list(json_rows(written(tmp_path / "x.json", " [ ] "))) == []


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match=r"rows\.jsonl: not a file; name another"):
        list(json_rows(tmp_path / "rows.jsonl"))
