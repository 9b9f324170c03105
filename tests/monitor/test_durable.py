"""A file has its name only once it is complete."""

import pytest

from toolrl.monitor.durable import aside_of, publish, replace_text


def test_the_old_content_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "f.json"
    replace_text(path, "old")
    aside_of(path).write_text("ne")  # a crash here …
    assert path.read_text() == "old"  # … leaves the file as it was
    replace_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_publishing_what_was_not_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "f")
