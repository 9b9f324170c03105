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
        (lambda s: s.pop("stage"), "Object missing required field `stage`"),
        (lambda s: s["actors"][1].pop("pid"), r"Object missing required field `pid` - at `\$.actors\[1\]`"),
        (lambda s: s.update(version="12"), r"Expected `int`, got `str` - at `\$.version`"),
        (lambda s: s.update(pid=True), r"Expected `int`, got `bool` - at `\$.pid`"),
        (lambda s: s.update(beat="soon"), r"Expected `float \| null`, got `str` - at `\$.beat`"),
        (lambda s: s.update(written=float("nan")), r"Expected `float` >= 0.0 - at `\$.written`"),
        (lambda s: s.update(since=float("inf")), r"Expected `float` <= 1000000000000.0 - at `\$.since`"),
        (lambda s: s.update(waits={}), r"Expected `array`, got `object` - at `\$.waits`"),
        (lambda s: s["waits"][0].update(on=[1]), r"Expected `str`, got `int` - at `\$.waits\[0\].on\[0\]`"),
        (lambda s: s.update(failures=[None]), r"Expected `object`, got `null` - at `\$.failures\[0\]`"),
        (lambda s: s.update(end={"time": 1.0, "how": "exploded", "error": ""}), r"Invalid enum value 'exploded' - at `\$.end.how`"),
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
