"""The command line: at once, in one line, and with the exit code that says whose turn it is."""

import re
import subprocess
import sys

import pytest

from toolrl.cli.commands import NAMES
from toolrl.cli.main import main


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "toolrl", *arguments], capture_output=True, text=True)


def test_help_names_every_command():
    out = run("--help").stdout
    listed = re.findall(r"^    ([a-z]+)(?: |$)", out, flags=re.MULTILINE)
    assert sorted(listed) == sorted(NAMES)
    assert {"prepare", "distill", "sft", "rl", "run", "table", "evaluate", "serve", "export", "score", "explain", "config"} <= {*NAMES}


def test_an_unknown_command_is_answered_with_the_nearest():
    done = run("scor")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "toolrl: unknown command 'scor'; did you mean 'score'?; see `toolrl --help`\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["rl", "run.stepz=3", "--dry-run", "run.sted=4"],
        ["rl", "--dry-run", "run.stepz=3", "run.sted=4", "--json"],
        ["sft", "run.stepz=3", "--json", "run.sted=4"],
        ["config", "--command", "sft", "run.stepz=3", "run.sted=4"],
    ],
)
def test_settings_may_stand_before_between_and_after_options(capsys, arguments):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "'run.stepz'" in err
    assert "'run.sted'" in err


def test_an_unknown_option_is_refused_wherever_it_stands(capsys):
    with pytest.raises(SystemExit):
        main(["rl", "run.steps=3", "--dryrun", "run.seed=4"])
    assert "unrecognized arguments: --dryrun" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["rl", "run.steps=3"], "stopped by the keyboard; the same command goes on from the newest checkpoint\n"),
        (["audit", "demo://train"], "stopped by the keyboard\n"),
    ],
)
def test_ctrl_c_is_told_what_the_same_command_would_do_where_something_was_begun(capsys, monkeypatch, command, told):
    def stopped(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("toolrl.cli.commands._rl", stopped)
    monkeypatch.setattr("toolrl.cli.reward._audit", stopped)
    assert main(command) == 130
    assert capsys.readouterr().err == f"toolrl: {told}"


def test_settings_that_are_wrong_end_with_2_and_no_traceback(capsys):
    assert main(["rl", "run.stepz=3"]) == 2
    err = capsys.readouterr().err
    assert "did you mean 'run.steps'?" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("flag", [[], ["--command", "sft"], ["--command", "distill"], ["--command", "evaluate"]])
def test_config_prints_every_setting_with_its_doc(capsys, flag):
    assert main(["config", *flag]) == 0
    out = capsys.readouterr().out
    assert "engine:" in out
    assert "      Longest completion, in tokens" in out


def test_config_resolves_files_and_overrides(capsys):
    assert main(["config", "model.path=m", "data.train=t", "run.steps=7"]) == 0
    assert "steps: 7" in capsys.readouterr().out
