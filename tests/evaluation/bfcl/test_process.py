"""The official process: ended in time, its output kept, its failures told with their last lines."""

import os
import time
from pathlib import Path

import pytest

from toolrl.errors import DeadlineError, RunError
from toolrl.evaluation.bfcl.process import run_job


@pytest.fixture
def run(tmp_path):
    """Run a shell script in the place of the evaluator's interpreter."""

    def do(script, deadline_s=20.0):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        run_job(python, {"do": "evaluate"}, folder=tmp_path, log=tmp_path / "official.log", deadline_s=deadline_s)
        return (tmp_path / "official.log").read_text()

    return do


def test_the_job_is_on_its_input_and_its_output_is_kept(run, tmp_path):
    assert run("cat; pwd; echo problem >&2") == f'{{"do": "evaluate"}}{tmp_path}\nproblem\n'
    assert run("echo again").endswith("problem\nagain\n")


def test_a_failure_names_the_log_and_its_last_lines(run, tmp_path):
    with pytest.raises(RunError, match=r"ended with 3 when asked to evaluate: b \| c \| d; its whole output: .*official\.log"):
        run("printf 'a\\nb\\n\\nc\\nd\\n'; exit 3")


def test_what_takes_too_long_is_ended_with_its_children(run, tmp_path):
    with pytest.raises(DeadlineError, match="took longer than 1 s to evaluate: begun"):
        run(f"sleep 300 & echo $! > {tmp_path}/child; echo begun; wait", deadline_s=1.0)
    child = int((tmp_path / "child").read_text())
    for _ in range(50):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("a child of the evaluator outlives it")


def test_it_sees_no_secret_of_this_process(run, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k-123")
    monkeypatch.setenv("HF_TOKEN", "k-123")
    assert "k-123" not in run("env")
