"""A run is not gone on with over files that it could not read at its end."""

import os
from fcntl import LOCK_EX, flock

import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor.readable import driver_of, read_attempts, require_readable


@pytest.fixture
def run(tmp_path):
    (tmp_path / "versions.json").write_text('{"attempts": [{"attempt": 1}]}')
    (tmp_path / "metrics.jsonl").write_text('{"version": 1}\n')
    (tmp_path / "rollouts").mkdir()
    return tmp_path


def test_a_run_that_was_never_started_and_a_sound_one_pass(tmp_path, run):
    require_readable(run)
    require_readable(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "content"),
    [("versions.json", "[]"), ("versions.json", '{"attempts": [1]}'), ("metrics.jsonl", "{}\n"), ("prompts.parquet", "x"),
     ("rollouts/version-000001.parquet", "x"), ("summary.json", "[]"), ("left_out.json", "[]"), ("left_out.json", '{"first": "exploded"}')],
)  # fmt: skip
def test_what_cannot_be_read_is_named(run, name, content):
    (run / name).write_text(content)
    with pytest.raises(RunFolderError) as caught:
        require_readable(run)
    assert str(run / name) in str(caught.value)


def test_attempts_that_are_gone_from_a_run_that_has_trained_would_be_counted_twice(run):
    (run / "versions.json").unlink()
    with pytest.raises(RunFolderError, match="though the run has trained"):
        require_readable(run)


def test_a_pipe_in_place_of_the_attempts_is_refused(tmp_path):
    os.mkfifo(tmp_path / "versions.json")
    with pytest.raises(RunFolderError, match=r"versions\.json"):
        read_attempts(tmp_path / "versions.json")


def test_who_drives_a_run_is_told_while_it_holds_the_lock(tmp_path):
    lock = tmp_path / ".lock"
    assert driver_of(lock) == ""
    with lock.open("w") as file:
        file.write("process 7 on host")
        file.flush()
        assert driver_of(lock) == ""
        flock(file, LOCK_EX)
        assert driver_of(lock) == "process 7 on host"
    assert driver_of(lock) == ""
