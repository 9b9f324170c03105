"""`toolrl report` writes its page whole or not at all, and says what it wrote."""

import json
import shlex

import pytest

from toolrl.cli.main import main
from toolrl.config.load import to_yaml
from toolrl.config.sft import SftConfig


def test_the_page_lies_in_the_folder_of_the_run(with_metrics, capsys):
    run = with_metrics()
    assert main(["report", str(run)]) == 0
    page = run / "report.html"
    assert page.read_text().startswith("<!doctype html>")
    out = capsys.readouterr().out
    assert page.resolve().as_uri() in out
    assert "run (stopped at version 2 of 100)" in out


def test_a_program_may_read_what_was_written(with_metrics, tmp_path, capsys):
    runs = [str(with_metrics(name=name)) for name in ("one", "two")]
    assert main(["report", *runs, "--out", str(tmp_path / "both.html"), "--groups", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bytes"] == (tmp_path / "both.html").stat().st_size
    assert (found["groups"], found["of_groups"], len(found["runs"])) == (4, 6, 2)


def test_the_command_that_is_told_can_be_typed_as_it_stands(with_metrics, capsys):
    run = with_metrics(name="it's a run; of mine")
    assert main(["report", str(run), "--groups", "1"]) == 0
    (told,) = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines() if line.startswith("see all: ")]
    assert shlex.split(told) == ["toolrl", "report", str(run), "--serve"]


def test_a_supervised_run_has_a_page_without_groups(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(to_yaml(SftConfig()))
    (tmp_path / "metrics.jsonl").write_text('{"version": 1, "learner/loss": 2.5, "loop/step_s": 1.0}\n')
    assert main(["report", str(tmp_path)]) == 0
    assert "no groups (no rollouts)" in capsys.readouterr().out
    assert 'id="groups"' not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("file", "arguments", "says"),
    [(None, ["--out", "{run}"], "is a folder"), (None, ["--out", "{run}/no/page.html"], "lies in no folder"),
     (None, ["--groups", "0"], "--groups: got 0"), (None, ["--port", "1"], "--port: only --serve listens"),
     (None, ["--serve", "--json", "--groups", "3"], "--groups, --json: --serve writes no page"),
     (None, ["--serve", "--port", "70000"], "--port: got 70000"),
     ("metrics.jsonl", [], "metrics.jsonl, line 1"), ("rollouts/version-000001.parquet", [], "version-000001.parquet")],
)  # fmt: skip
def test_what_cannot_be_is_one_message_and_nothing_is_written(with_metrics, capsys, file, arguments, says):
    run = with_metrics()
    if file is not None:
        (run / file).write_text("broken\n")
    before = sorted(path.name for path in run.iterdir())
    assert main(["report", str(run), *(word.format(run=run) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("toolrl: ")
    assert sorted(path.name for path in run.iterdir()) == before
