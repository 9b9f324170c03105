"""The command line: at once, in one line, and with the exit code that says whose turn it is."""

import subprocess
import sys

import pytest

from toolrl.cli.main import main


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "toolrl", *arguments], capture_output=True, text=True)


def test_help_names_every_command():
    out = run("--help").stdout
    assert all(f"\n    {name}" in out for name in ("prepare", "sft", "rl", "score", "config"))


def test_an_unknown_command_is_answered_with_the_nearest():
    done = run("scor")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "toolrl: unknown command 'scor'; did you mean 'score'?; see `toolrl --help`\n"


def test_settings_that_are_wrong_end_with_2_and_no_traceback(capsys):
    assert main(["rl", "run.stepz=3"]) == 2
    err = capsys.readouterr().err
    assert "did you mean 'run.steps'?" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("flag", [[], ["--sft"]])
def test_config_prints_every_setting_with_its_doc(capsys, flag):
    assert main(["config", *flag]) == 0
    out = capsys.readouterr().out
    assert "learner:" in out
    assert "      Learning rate (of AdamW)." in out


def test_config_resolves_files_and_overrides(capsys):
    assert main(["config", "model.path=m", "data.train=t", "run.steps=7"]) == 0
    assert "steps: 7" in capsys.readouterr().out
