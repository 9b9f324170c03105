"""Metrics read as they grow: each line once, a rewind noticed, and nothing read twice."""

import json
import os

import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor import follow
from toolrl.monitor.follow import MetricsFollower
from toolrl.monitor.lines import JsonlSink, read_lines, write_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def write(path, *versions):
    sink = JsonlSink(path)
    for version in versions:
        sink.write(version, {"reward/mean": version / 10})
    sink.close()


def polled(follower):
    replaced, lines = follower.poll()
    return replaced, [line["version"] for line in lines]


def test_every_line_comes_once_as_the_file_grows(path):
    follower = MetricsFollower(path)
    assert polled(follower) == (False, [])  # not there yet
    write(path, 0, 1)
    assert polled(follower) == (False, [0, 1])
    assert polled(follower) == (False, [])
    write(path, 2)
    assert polled(follower) == (False, [2])


def test_what_was_read_is_not_read_again(path):
    follower = MetricsFollower(path)
    write(path, *range(200))
    assert len(polled(follower)[1]) == 200
    with path.open("r+b") as file:
        file.write(b"damage")
    write_more = json.dumps({"version": 200}) + "\n"
    with path.open("a") as file:
        file.write(write_more)
    assert polled(follower) == (False, [200])


@pytest.mark.parametrize("tail", ['{"version": 2, "rew', "{", '{"version": 2, "reward/mean": 1.0}', "\0" * 40, '{"version": 2\0\0\0\0}\n'])
def test_a_line_that_is_not_there_in_full_is_left_for_later(path, tail):
    follower = MetricsFollower(path)
    write(path, 0, 1)
    whole = path.read_bytes()
    path.write_bytes(whole + tail.encode())
    assert polled(follower) == (False, [0, 1])
    path.write_bytes(whole)
    write(path, 2)
    assert polled(follower) == (False, [2])


def test_a_rewind_is_noticed_also_where_the_file_has_grown_beyond_its_old_end(path):
    follower = MetricsFollower(path)
    write(path, 0, 1, 2, 3)
    polled(follower)
    write_lines(path, read_lines(path)[:2])
    assert polled(follower) == (True, [0, 1])
    write_lines(path, read_lines(path)[:1])
    write(path, 1, 2, 3, 4, 5)
    assert polled(follower) == (True, [0, 1, 2, 3, 4, 5])


def test_a_file_that_is_gone_is_a_rewind_to_nothing(path):
    follower = MetricsFollower(path)
    write(path, 0, 1)
    polled(follower)
    path.unlink()
    assert polled(follower) == (True, [])
    assert polled(follower) == (False, [])


def test_a_torn_line_that_the_next_attempt_removes_is_no_rewind(path):
    follower = MetricsFollower(path)
    write(path, 0, 1)
    with path.open("a") as file:
        file.write('{"version": 2, "re')
    assert polled(follower) == (False, [0, 1])
    write(path, 2)  # its sink writes the file anew without the torn line
    assert polled(follower) == (False, [2])


def test_lines_longer_than_a_chunk_are_joined(path, monkeypatch):
    monkeypatch.setattr(follow, "CHUNK_BYTES", 7)
    write(path, 0, 1, 2)
    assert polled(MetricsFollower(path)) == (False, [0, 1, 2])


@pytest.mark.parametrize("text", ["nonsense\n", '{"version": 1.5}\n', '{"version": 3, "x": "y"}\n', "nonsense"])
def test_a_line_that_is_none_of_metrics_is_told_with_its_number(path, text):
    follower = MetricsFollower(path)
    write(path, 0, 1)
    with path.open("a") as file:
        file.write(text)
    for _ in range(2):  # and again: nothing behind it is taken for what it is not
        _, lines = follower.poll()
        with pytest.raises(RunFolderError, match="line 3"):
            list(lines)


def test_a_line_without_end_is_not_taken_into_memory(path, monkeypatch):
    monkeypatch.setattr(follow, "LONGEST_LINE_BYTES", 100)
    path.write_text('{"version": ' + "1" * 200)
    with pytest.raises(RunFolderError, match="longer than 100 bytes"):
        list(MetricsFollower(path).poll()[1])


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(RunFolderError, match="not a file"):
        MetricsFollower(path).poll()
