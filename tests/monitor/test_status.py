"""What a driver writes is what a reader gets; anything else is one message with the place."""

import json
import time
from dataclasses import asdict, replace

import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor.status import STATUS, ActorStatus, End, Failure, Status, Wait, read_status

ENGINE = ActorStatus("engine-0", "engine", "healthy", "here", "127.0.0.1", 17, 5.5, 16)
STATUS_NOW = Status(
    written=10.0,
    beat=9.5,
    host="here",
    pid=3,
    attempt=2,
    stage="learner",
    since=8.0,
    version=12,
    steps=100,
    draws_taken=96,
    sampling=16,
    scoring=2,
    actors=(ENGINE, replace(ENGINE, name="reward-0", role="reward", state="up", answered=None)),
    waits=(Wait("training a batch", ("learner-0", "learner-1"), 8.0, 600.0, "learner.step_timeout_s"),),
    failures=(Failure(7.0, "engine-1 has died", ("engine-1",), 3),),
    end=None,
)


def written(folder, status):
    (folder / STATUS).write_text(json.dumps(asdict(status)))
    return folder


@pytest.mark.parametrize("end", [None, End(11.0, "failed", "a rank died")])
def test_what_is_written_is_what_is_read(tmp_path, end):
    status = replace(STATUS_NOW, end=end)
    assert read_status(written(tmp_path, status)) == status


def test_a_run_without_the_file_has_none(tmp_path):
    assert read_status(tmp_path) is None


def test_keys_of_a_later_version_are_passed_over_and_whole_numbers_are_seconds(tmp_path):
    written(tmp_path, STATUS_NOW)
    content = json.loads((tmp_path / STATUS).read_text()) | {"weather": "fine", "written": 10}
    (tmp_path / STATUS).write_text(json.dumps(content))
    assert read_status(tmp_path) == STATUS_NOW


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("stage"), "stage: not there"),
        (lambda s: s["actors"][1].pop("pid"), r"actors\[1\].pid: not there"),
        (lambda s: s.update(version="12"), "version: expected int, got '12'"),
        (lambda s: s.update(pid=True), "pid: expected int, got True"),
        (lambda s: s.update(beat="soon"), "beat: expected float, got 'soon'"),
        (lambda s: s.update(written=float("nan")), "written: expected float, got nan"),
        (lambda s: s.update(waits={}), "waits: expected a list, got {}"),
        (lambda s: s["waits"][0].update(on=[1]), r"waits\[0\].on\[0\]: expected str, got 1"),
        (lambda s: s.update(failures=[None]), r"failures\[0\]: expected an object, got None"),
        (lambda s: s.update(end={"time": 1.0, "how": "exploded", "error": ""}), "end.how: expected one of ended, failed"),
    ],
)
def test_a_damaged_file_is_one_message_with_the_place(tmp_path, change, said):
    content = json.loads(json.dumps(asdict(STATUS_NOW)))
    change(content)
    (tmp_path / STATUS).write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match=rf"status.json: {said}.*; remove it: the run writes it anew"):
        read_status(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"written": 1', "\0\0"])
def test_half_a_file_is_one_message(tmp_path, text):
    (tmp_path / STATUS).write_text(text)
    with pytest.raises(RunFolderError, match=r"status.json: .*; remove it"):
        read_status(tmp_path)


def test_reading_a_large_one_takes_milliseconds(tmp_path):
    actors = tuple(replace(ENGINE, name=f"engine-{i}") for i in range(1000))
    written(tmp_path, replace(STATUS_NOW, actors=actors))
    start = time.perf_counter()
    assert read_status(tmp_path).actors == actors
    assert time.perf_counter() - start < 0.2
