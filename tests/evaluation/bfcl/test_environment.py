"""The environment of the official evaluator: made once, aside, under a lock; or one message that says what to do."""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

import toolrl.evaluation.bfcl.environment as module
from toolrl.errors import DeadlineError, UserError
from toolrl.evaluation.bfcl.environment import REQUIREMENTS, cache_folder, official_environment


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLRL_CACHE", str(tmp_path))
    return tmp_path


def make_quickly(monkeypatch, during=lambda folder: None):
    """Let commands and the check take no time: `venv` makes an interpreter, `pip` an installed package."""

    def run(command, log):
        python = Path(command[-1]) / "bin" / "python" if "venv" in command else Path(command[0])
        if "venv" in command:
            python.parent.mkdir(parents=True)
            python.touch()
            with (python.parents[2] / "made").open("a") as made:
                made.write("x")
        else:
            (python.parents[1] / "lib/python3/site-packages/bfcl_eval/data").mkdir(parents=True)
            during(python.parents[1])

    monkeypatch.setattr(module, "_run", run)
    monkeypatch.setattr(module, "run_job", lambda *args, **kwargs: None)


def test_it_is_made_once_and_found_again(cache, monkeypatch):
    make_quickly(monkeypatch)
    told = []
    first = official_environment(told.append)
    assert official_environment(told.append) == first
    assert first.data == first.folder / "lib/python3/site-packages/bfcl_eval/data"
    assert told == [f"making the environment of BFCL's own evaluator, once: {first.folder}"]


def test_one_that_was_cut_short_is_made_again(cache, monkeypatch):
    def stop(folder):
        raise KeyboardInterrupt

    make_quickly(monkeypatch, during=stop)
    with pytest.raises(KeyboardInterrupt):
        official_environment()
    make_quickly(monkeypatch)
    found = official_environment()
    assert found.python.exists()
    assert not list(cache.glob("*.making"))


def test_one_whose_interpreter_is_gone_is_made_again(cache, monkeypatch):
    make_quickly(monkeypatch)
    found = official_environment()
    found.python.unlink()
    found.python.symlink_to(cache / "no-such-python")
    assert official_environment().python.is_file()
    assert (cache / "made").read_text() == "xx"


def _make_slowly(cache):
    os.environ["TOOLRL_CACHE"] = str(cache)
    with pytest.MonkeyPatch.context() as patch:
        make_quickly(patch, during=lambda folder: __import__("time").sleep(0.5))
        assert official_environment().python.exists()


def test_two_processes_at_once_make_one(cache):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_make_slowly, args=(cache,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (cache / "made").read_text() == "x"


def test_waiting_for_another_process_has_an_end(cache, monkeypatch):
    make_quickly(monkeypatch)
    monkeypatch.setattr(module, "MAKE_S", 0.3)
    name = module._name()
    with module._alone(cache / f"{name}.lock"), pytest.raises(DeadlineError, match="another process has held it"):
        official_environment()


def test_where_nothing_can_be_installed_one_message_says_what_to_do(cache, monkeypatch):
    monkeypatch.setattr(module, "VENV", (*module.VENV, "--without-pip"))
    monkeypatch.setattr(module, "PIP", ("-c", "print('no index'); raise SystemExit(1)"))
    with pytest.raises(UserError, match=r"failed: no index; let pip reach a package index, or set TOOLRL_CACHE .* all the output: .*\.log"):
        official_environment()
    assert not [each for each in cache.iterdir() if each.is_dir() and each.suffix != ".making"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOOLRL_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be written .*set TOOLRL_CACHE to a folder of your own"):
        official_environment()


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.delenv("TOOLRL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "toolrl"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "toolrl"
    monkeypatch.setenv("TOOLRL_CACHE", "~/x")
    assert cache_folder() == Path.home() / "x"


def test_every_requirement_is_pinned():
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert "bfcl-eval==2026.3.23" in lines
    assert all(line.count("==") == 1 for line in lines)
    assert f"-py{sys.version_info[0]}.{sys.version_info[1]}" in module._name()
