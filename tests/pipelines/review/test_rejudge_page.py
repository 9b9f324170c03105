"""The page of `toolrl rescore`, and the file of changed samples that is there whole or not at all."""

import json

import pyarrow.parquet as pq
import pytest

from toolrl.errors import ConfigError
from toolrl.pipelines.review.rejudge import rejudge
from toolrl.pipelines.review.rejudge_page import SHOWN, changes_to, text
from toolrl.pipelines.review.stored import open_run
from toolrl.reward.verifier import make_verifier


def changes(run, out, mode="paper"):
    with changes_to(out, run) as (first, on_change):
        return rejudge(open_run(run), make_verifier(mode), on_change), first


def test_the_page_says_what_changed(make_run):
    run = make_run()
    page = text(open_run(run), "strict", "paper", *changes(run, None), 100)
    assert "12 completions scored again" in page
    assert "right before            1            2\nwrong before            1            8\n" in page
    assert "the verdicts agree on 9 of 12 (75.0%)" in page
    assert "versions" not in page.split("\n\n")[2].splitlines()[1]  # two versions: a row each
    assert ["all", "0.250", "0.167", "3", "2", "1"] in [line.split() for line in page.splitlines()]
    assert "  0.3  version 1  1 → 0  correct → missing_argument at [0].arguments.days" in page
    assert f"look at one: toolrl explain {run} --sample 0.1" in page


def test_nothing_that_changed_is_said_too(make_run):
    run = make_run()
    page = text(open_run(run), "strict", "strict", *changes(run, None, mode="strict"), 80)
    assert "every completion has the reason it had" in page
    assert "no reward changed" in page


def test_two_rewards_that_differ_late_are_told_in_full(make_run):
    run, long = make_run(), "strict, no call: either, reward = 1 × partial_format + 0.1 × my_rewards:short_reasoning"
    lines = text(open_run(run), f"{long} + 0.2 × a:b", f"{long} + 0.3 × a:b", *changes(run, None), 60).splitlines()
    assert lines[2:8] == [
        "  before  strict, no call: either, reward = 1 ×",
        "          partial_format + 0.1 × my_rewards:short_reasoning",
        "          + 0.2 × a:b",
        "  after   strict, no call: either, reward = 1 ×",
        "          partial_format + 0.1 × my_rewards:short_reasoning",
        "          + 0.3 × a:b",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_line_fits_but_the_command_to_copy(make_run, width):
    run = make_run(name="long" * 30)
    page = text(open_run(run), "strict", "paper", *changes(run, None), width)
    assert max(map(len, page.splitlines()[:-1])) <= width
    assert page.splitlines()[-1] == f"look at one: toolrl explain {run} --sample 0.1"


def test_all_changes_are_written_as_parquet_or_lines(make_run, tmp_path, weather):
    run = make_run([(1, draw, weather.prompt, (weather.texts.no_list,) * 8) for draw in range(4)])
    result, first = changes(run, tmp_path / "out.parquet")
    changes(run, tmp_path / "out.jsonl")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (result.changed, len(first), len(rows)) == (32, SHOWN, 32)
    assert rows == [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (rows[31]["sample"], rows[31]["reason_before"], rows[31]["reward_after"]) == ("3.7", "not_a_list", 1.0)


def test_what_cannot_be_written_is_refused_before_anything_is(make_run, tmp_path):
    run = make_run()
    for out, message in (
        (tmp_path / "out.csv", "ends in .parquet or .jsonl"),
        (tmp_path / "none" / "out.jsonl", "no folder"),
        (run / "rollouts" / "out.parquet", "is in the run folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            changes(run, out)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_a_file_that_cannot_be_made_is_told_before_anything_is_judged(make_run, tmp_path, name):
    run = make_run()
    (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "aside" / f".{name}.tmp").mkdir(parents=True)  # what is written first cannot be opened
    for folder, message in (
        ("folder", f"--out: {tmp_path / 'folder' / name} is a folder"),
        ("aside", "--out: cannot write .*; give another"),
    ):
        with pytest.raises(ConfigError, match=message), changes_to(tmp_path / folder / name, run):
            pytest.fail("nothing is to be judged")


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_a_file_that_was_not_finished_is_not_there(make_run, tmp_path, name):
    run = make_run()
    (tmp_path / name).write_text("what was there")

    def stopped():
        with changes_to(tmp_path / name, run) as (_, on_change):
            rejudge(open_run(run), make_verifier("paper"), on_change)
            raise OSError("stop")

    with pytest.raises(OSError, match="stop"):
        stopped()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["run", name])
    assert (tmp_path / name).read_text() == "what was there"
