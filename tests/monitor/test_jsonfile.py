"""A small file of JSON is an object, or one message."""

import os

import pytest

from toolrl.errors import RunFolderError, UserError
from toolrl.monitor.jsonfile import read_if_there, read_object


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not readable as JSON (Expecting value"),
        (b"[1]", "expected an object, got a list"),
        (b"null", "expected an object, got a NoneType"),
        (b"[" * 20_000, "not readable as JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not readable as JSON (Exceeds the limit"),
        (b'{"a": "\xe9"}', "not readable as JSON ("),
        (b'{"a": "\\ud83d"}', "not readable as JSON ("),
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
    (tmp_path / "link").symlink_to("link")
    for name, said in (("pipe", "not a file"), ("link", "not a file"), ("nothing", "no such file")):
        with pytest.raises(RunFolderError, match=f"{said}; put back the file"):
            read_object(tmp_path / name)


def test_what_may_be_absent_is_none_only_where_nothing_has_its_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "f.json").write_text('{"a": 1}')
    assert read_if_there(tmp_path / "nothing") is None
    assert read_if_there(tmp_path / "f.json") == {"a": 1}
    for name in ("pipe", "link"):
        with pytest.raises(RunFolderError, match="not a file; put back the file that the run wrote, or remove it"):
            read_if_there(tmp_path / name)


def test_a_whole_pair_of_utf_16_is_text(tmp_path):
    (tmp_path / "f.json").write_text('{"a": "\\ud83d\\ude00"}')
    assert read_object(tmp_path / "f.json") == {"a": "😀"}


def test_an_object_is_returned(tmp_path):
    (tmp_path / "f.json").write_text('{"a": [1]}')
    assert read_object(tmp_path / "f.json") == {"a": [1]}
