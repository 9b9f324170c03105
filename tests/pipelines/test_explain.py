"""`toolrl explain` from the command line: pages, lists and JSON of one run, and what is not there."""

import json

import pyarrow.parquet as pq
import pytest

from toolrl.cli.main import main


def explained(capsys, *arguments):
    assert main(["explain", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_sample_is_shown_in_the_width_of_the_terminal(make_run, capsys, monkeypatch):
    run = make_run()
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        out = explained(capsys, run, "--sample", "0.2")
        assert "── sample 0.2 of" in out
        assert max(map(len, out.splitlines())) <= width


def test_json_of_each_question(make_run, capsys):
    run = make_run()
    assert json.loads(explained(capsys, "--json", "--sample", "0.2", run))["stored"]["reason"] == "wrong_value"
    assert [row["id"] for row in json.loads(explained(capsys, run, "--sample", "weather", "--json"))][-1] == "1.3"
    assert len(json.loads(explained(capsys, run, "--version", 2, "--json"))) == 4
    assert json.loads(explained(capsys, run, "--json"))[0] == {"version": 1, "first_draw": 0, "last_draw": 1, "completions": 8, "right": 2}


def test_lists_lead_to_a_wrong_sample(make_run, capsys):
    run = make_run()
    for arguments, sample in (((), "8.1"), (("--version", 1), "0.1"), (("--sample", "weather"), "0.1"), (("--sample", "8"), "8.1")):
        assert explained(capsys, run, *arguments).endswith(f"look at one: toolrl explain {run} --sample {sample}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sample", "99.0"), "no 99.0 in"),
        (("--sample", "what"), "no sample, prompt or draw 'what'"),
        (("--version", "0"), "it has the versions 1 to 2"),
    ],
)
def test_what_is_not_there_ends_with_2_and_says_what_is(make_run, capsys, arguments, message):
    assert main(["explain", str(make_run()), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "1 to 2" in err


def test_a_run_without_a_single_sample_says_so(make_run, capsys):
    run = make_run()
    for file in (run / "rollouts").glob("*.parquet"):
        pq.write_table(pq.ParquetFile(file).read().slice(0, 0), file)
    for arguments in ((), ("--sample", "1.0")):
        assert main(["explain", str(run), *arguments]) == 2
        assert "version-000001.parquet" in capsys.readouterr().err


def test_a_folder_that_is_no_run_ends_with_2(tmp_path, capsys):
    assert main(["explain", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
