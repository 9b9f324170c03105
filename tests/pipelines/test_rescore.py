"""`toolrl rescore` from the command line."""

import json

import pytest

from toolrl.cli.main import main
from toolrl.config.task import RewardConfig


def rescored(capsys, run, *arguments):
    assert main(["rescore", str(run), *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_not_given_stays_as_the_run_has_it(make_run, capsys):
    run = make_run(reward=RewardConfig(mode="paper", functions={"partial_format": 1.0}))
    assert rescored(capsys, run)["changed"] == 0
    # paper: draw 0 is 1, 1, 0.2, 0.2 and strict has the list of one call wrong, the default right
    assert [sample["sample"] for sample in rescored(capsys, run, "--mode", "strict")["first_changed"]][:2] == ["0.1", "0.3"]
    told = rescored(capsys, run, "--functions", "binary=1")
    assert told["overall"]["reward_after"] == pytest.approx(2 / 12)


def test_no_call_is_a_rule_that_can_be_changed(make_run, capsys):
    told = rescored(capsys, make_run(), "--no-call", "list")
    assert [(sample["sample"], sample["reason_after"]) for sample in told["first_changed"]] == [("8.0", "no_tool_call")]


def test_the_page_and_the_file_of_changes(make_run, capsys, tmp_path):
    out = tmp_path / "changed.jsonl"
    assert main(["rescore", "--mode", "paper", str(make_run()), "--out", str(out)]) == 0
    page = capsys.readouterr().out
    assert "  before  strict, no call: either\n  after   paper\n" in page
    assert [json.loads(line)["sample"] for line in out.read_text().splitlines()] == ["0.1", "0.3", "8.0"]


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--out", "changed.jsonl")])
def test_a_run_that_kept_no_text_cannot_be_judged_again(make_run, weather, capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    run = make_run([(1, 1, weather.prompt, (weather.texts.right,) * 2)], keep="share")  # of the draws, 0 and 8 keep theirs
    assert main(["rescore", str(run), "--mode", "paper", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "none of its 2 completions was kept with its text" in err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "lax"), "reward.mode: got 'lax'"),
        (("--no-call", "maybe"), "reward.no_call: got 'maybe'"),
        (("--functions", "binary"), "give each reward function once, as NAME=WEIGHT"),
        (("--functions", "binry=1"), "did you mean 'binary'?"),
        (("--out", "out.csv"), "ends in .parquet or .jsonl"),
    ],
)
def test_mistakes_end_with_2_before_anything_is_judged(make_run, capsys, arguments, message):
    assert main(["rescore", str(make_run()), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
