"""metrics.jsonl survives crashes and values that are not finite."""

import json
import os

import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor.lines import JsonlSink, read_lines, write_lines


def sink(path):
    return JsonlSink(path, now=lambda: 7.0)


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = sink(path)
    writer.write(3, {"a/b": 0.5})
    assert read_lines(path) == [{"version": 3, "time": 7.0, "a/b": 0.5}]


def test_what_is_not_finite_is_null_and_the_line_stays_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    sink(path).write(1, {"nan": float("nan"), "inf": float("inf"), "one": 1})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {"version": 1, "time": 7.0, "nan": None, "inf": None, "one": 1.0}


@pytest.mark.parametrize("torn", ['{"version": 2, "ti', '{"version": 2}'])
def test_a_torn_last_line_is_dropped_and_not_joined_to_the_next(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"version": 1}\n' + torn)
    assert read_lines(path) == [{"version": 1}]
    sink(path).write(2, {})
    assert [line["version"] for line in read_lines(path)] == [1, 2]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"version": 1}\n{"ver\n{"version": 3}\n')
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl, line 2: not JSON .*; remove the line, or start anew"):
        read_lines(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"version": 1}]\n', "line 1: expected an object with a whole `version`"),
        ('{"version": 1}\n{"version": "2"}\n', "line 2: expected an object with a whole `version`"),
        ('{"version": 1, "reward/mean": "high"}\n', "line 1: reward/mean: got 'high', expected a number"),
        ('{"version": 1, "reward/mean": NaN}\n', "line 1: reward/mean: got 'nan', expected a number"),
        ('{"version": 1, "loop/step_s": 1e999}\n', "line 1: loop/step_s: got 'inf', expected a number"),
        ('{"version": 1, "loop/step_s": 1' + "0" * 400 + "}\n", "line 1: loop/step_s: got '1000"),
        ('{"version": 1}\n' + "[" * 20_000 + "\n", "line 2: not JSON"),
        ('{"version": 1}\nhello', "line 2: not a line of metrics, got 'hello'"),
    ],
)
def test_a_line_that_is_none_of_metrics_is_named_with_what_to_do(tmp_path, content, said):
    path = tmp_path / "metrics.jsonl"
    path.write_text(content)
    with pytest.raises(RunFolderError) as caught:
        read_lines(path)
    assert f"{path}, {said}" in str(caught.value)
    assert "; remove the line, or start anew" in str(caught.value)


def test_zeros_that_a_lost_write_left_at_the_end_are_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"version": 1}\n{"vers' + "\0" * 100)
    assert read_lines(path) == [{"version": 1}]


def test_a_pipe_in_place_of_the_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(RunFolderError, match="not a file"):
        read_lines(tmp_path / "metrics.jsonl")


def test_no_file_is_no_lines(tmp_path):
    assert read_lines(tmp_path / "metrics.jsonl") == []


def test_lines_are_replaced_as_a_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, [{"version": 1}, {"version": 2}])
    assert [line["version"] for line in read_lines(path)] == [1, 2]
    assert list(tmp_path.iterdir()) == [path]
