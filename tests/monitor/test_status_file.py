"""The file follows what the driver does, costs it nothing, and outlives a full disk."""

import errno
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_status import STATUS_NOW

from toolrl.monitor import status_file
from toolrl.monitor.status import End, read_status
from toolrl.monitor.status_file import StatusFile


def wait_for(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Driver:
    """What a driver does now."""

    def __init__(self):
        self.status, self.looks = STATUS_NOW, 0

    def look(self):
        self.looks += 1
        return self.status


def test_a_change_is_written_soon_and_the_end_at_once(tmp_path):
    driver = Driver()
    file = StatusFile(tmp_path / "status.json", driver.look, every_s=60)
    wait_for(lambda: (tmp_path / "status.json").exists())
    driver.status = replace(STATUS_NOW, stage="push")
    file.changed()
    wait_for(lambda: read_status(tmp_path).stage == "push")
    driver.status = replace(STATUS_NOW, end=End(11.0, "failed", "a rank died"))
    file.close()
    assert read_status(tmp_path).end.error == "a rank died"
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_look_that_fails_is_told_once_and_the_file_is_written_again(tmp_path, caplog):
    driver = Driver()
    tries = []

    def look():
        tries.append(1)
        if len(tries) < 4:
            raise RuntimeError("half way")
        return driver.look()

    file = StatusFile(tmp_path / "status.json", look, every_s=0.05)
    wait_for(lambda: (tmp_path / "status.json").exists())
    file.close()
    assert read_status(tmp_path) == STATUS_NOW
    assert caplog.text.count("not written") == 1


def test_a_thousand_changes_are_written_a_few_times(tmp_path):
    driver = Driver()
    file = StatusFile(tmp_path / "status.json", driver.look, every_s=60)
    start = time.perf_counter()
    for _ in range(1000):
        file.changed()
    assert time.perf_counter() - start < 0.1, "the loop must not wait"
    time.sleep(0.6)
    file.close()
    assert driver.looks <= 5


def test_without_a_change_it_is_written_all_the_same(tmp_path):
    driver = Driver()
    file = StatusFile(tmp_path / "status.json", driver.look, every_s=0.05)
    wait_for(lambda: driver.looks >= 3)
    file.close()


def test_a_file_system_that_does_not_answer_holds_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(status_file, "END_S", 0.2)
    hangs = threading.Event()
    file = StatusFile(tmp_path / "status.json", Driver().look)
    monkeypatch.setattr(status_file, "_replace", lambda path, text: hangs.wait(5))
    start = time.monotonic()
    file.changed()
    file.close()
    assert time.monotonic() - start < 1
    hangs.set()


def test_a_folder_that_is_gone_ends_nothing(tmp_path):
    driver = Driver()
    (tmp_path / "run").mkdir()
    file = StatusFile(tmp_path / "run" / "status.json", driver.look, every_s=0.05)
    wait_for(lambda: driver.looks)
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    (tmp_path / "run").rmdir()
    looks = driver.looks
    wait_for(lambda: driver.looks > looks + 1)
    file.close()
    assert not (tmp_path / "run").exists()


def test_on_a_full_disk_it_still_says_how_the_run_ended(small_disk):
    disk, driver = small_disk("64k"), Driver()
    file = StatusFile(disk / "status.json", driver.look, every_s=60)
    assert (disk / "status.json").exists()
    with pytest.raises(OSError, match="No space left") as full:
        (disk / "filler").write_bytes(bytes(2**20))
    assert full.value.errno == errno.ENOSPC
    driver.status = replace(STATUS_NOW, end=End(11.0, "failed", "no space left for a checkpoint"))
    file.close()
    assert read_status(disk).end.error == "no space left for a checkpoint"
    assert sorted(path.name for path in disk.iterdir()) == ["filler", "status.json"]
