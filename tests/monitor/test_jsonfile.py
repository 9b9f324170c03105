"""A small file of JSON is an object, or one message."""

import os

import pytest

from toolrl.errors import RunFolderError, UserError
from toolrl.monitor.jsonfile import read_object


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not readable as JSON (Expecting value"),
        (b"[1]", "expected an object, got a list"),
        (b"null", "expected an object, got a NoneType"),
        (b"[" * 20_000, "not readable as JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not readable as JSON (Exceeds the limit"),
        (b'{"a": "\xe9"}', "not readable as JSON ("),
    ],
)
def test_what_is_no_object_is_told_with_the_remedy(tmp_path, content, said):
    (tmp_path / "f.json").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_object(tmp_path / "f.json", remedy="mend it", error=UserError)
    assert str(caught.value).startswith(f"{tmp_path}/f.json: {said}")
    assert str(caught.value).endswith("; mend it")


def test_a_pipe_or_nothing_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nothing"):
        with pytest.raises(RunFolderError, match="no such file; put back the file"):
            read_object(tmp_path / name)


def test_an_object_is_returned(tmp_path):
    (tmp_path / "f.json").write_text('{"a": [1]}')
    assert read_object(tmp_path / "f.json") == {"a": [1]}
