"""A rewind that was cut short, at any point of it and again and again, is unfinished, and no problem then, meanwhile and in the end."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from toolrl.errors import DivergedError
from toolrl.monitor.rundir import RunFolder

EVERYTHING = 99


@pytest.fixture
def cut_after(monkeypatch, tools):
    """Kill whoever rewinds a run once it has moved so many files, or with EVERYTHING before it takes the lines out of metrics.jsonl."""

    def kill(moves, start):
        moved, rename = [], Path.rename

        def killed_in_time(path, target):
            out_of_rollouts = path.parent.name == "rollouts" and "discarded" in Path(target).parts
            ends = out_of_rollouts and len(moved) == moves
            if ends or (moves == EVERYTHING and Path(target).name == "metrics.jsonl" and "discarded" not in Path(target).parts):
                raise tools.killed("killed")
            moved.extend([path] if out_of_rollouts else [])
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", killed_in_time)
            patch.setattr("os.replace", lambda path, target: killed_in_time(Path(path), target))
            assert not start()

    return kill


def problems(run, tools):
    return [problem.message for problem in tools.audited(run).findings.problems]


def without_checkpoints(tools):
    return replace(tools.config, checkpoint=replace(tools.config.checkpoint, every=100, best=False))


@pytest.mark.parametrize("moves", [0, 1, 2, EVERYTHING])
@pytest.mark.parametrize("line_ahead", [False, True])
def test_a_rewind_cut_short_is_no_problem_until_it_is_ended(tmp_path, tools, cut_after, moves, line_ahead):
    """The killed run had its newest line and its newest rollouts of the same version, or a line more."""
    run, config = tmp_path / "run", without_checkpoints(tools)
    assert not tools.start(run, config, failures={("told", 4): tools.killed("killed")})
    if line_ahead:
        tools.file(run, 4).unlink(missing_ok=True)
    assert problems(run, tools) == []
    cut_after(moves, lambda: tools.start(run, config, seed=1))
    assert problems(run, tools) == []
    RunFolder(run, config).close()  # the next attempt is recorded, and takes minutes to start
    assert problems(run, tools) == []
    if moves < 2:
        cut_after(1, lambda: tools.start(run, config, seed=2))
        assert problems(run, tools) == []
    assert tools.start(run, config, seed=3)
    report = tools.audited(run)
    assert (report.findings.problems, report.findings.unfinished) == ([], [])


def test_it_is_said_which_attempt_was_rewinding(tmp_path, tools, cut_after):
    run, config = tmp_path / "run", without_checkpoints(tools)
    assert not tools.start(run, config, failures={("told", 4): tools.killed("killed")})
    cut_after(2, lambda: tools.start(run, config, seed=1))
    RunFolder(run, config).close()
    assert "attempt 2 was rewinding the run to version 0: the next start ends that" in tools.audited(run).findings.unfinished


@pytest.mark.parametrize("moves", [1, 2, EVERYTHING])
def test_a_batch_that_diverged_lies_beside_what_its_rewind_had_moved(tmp_path, tools, cut_after, moves):
    """The batch of version 5 is in discarded/attempt-1; the driver's own rewind is cut, and what it left is moved to attempt-2."""
    run, config = tmp_path / "run", without_checkpoints(tools)
    failures = {("step", 4): DivergedError("the gradient is not finite")}
    cut_after(moves, lambda: tools.start(run, config, failures=failures))
    assert problems(run, tools) == []
    assert tools.start(run, config, seed=3)
    report = tools.audited(run)
    assert (report.findings.problems, report.findings.unfinished) == ([], [])
    if moves == 2:
        assert [(each.attempt, [piece.version for piece in each.pieces]) for each in report.discarded] == [(1, [1, 2, 5]), (2, [3, 4])]
        (run / "discarded" / "attempt-2" / "version-000004.parquet").unlink()
        assert problems(run, tools) == ["discarded/attempt-1: version 5 (from draw 19) after version 2 (to draw 8)"]


def best_of_version_3(run):
    shutil.rmtree(run / "checkpoints" / "best")
    shutil.copytree(run / "checkpoints" / "version-00000003", run / "checkpoints" / "best")


def test_a_version_lost_is_a_problem_where_an_older_rewind_moved_one_of_its_number(run, tools):
    """Version 5 is in discarded/attempt-1; attempt 2 made it again, and attempt 3 versions 7 and 8."""
    (run / "summary.json").unlink()
    for version in (6, 8):
        shutil.rmtree(run / "checkpoints" / f"version-{version:08d}")
    best_of_version_3(run)
    tools.file(run, 5).unlink()
    assert problems(run, tools) == ["version 5: no file in rollouts/"]


def test_a_rewind_behind_a_damaged_checkpoint_is_no_problem_when_cut_short(run, tools):
    """Checkpoint 6 turned out damaged: the run goes back to 4, and attempt 3 was killed once version 5 was out."""
    (run / "summary.json").unlink()
    shutil.rmtree(run / "checkpoints" / "version-00000008")
    best_of_version_3(run)
    (run / "checkpoints" / "version-00000006" / "weights").write_bytes(b"v" * 100)
    RunFolder(run, tools.config).close()
    (run / "discarded" / "attempt-3").mkdir()
    tools.file(run, 5).rename(run / "discarded" / "attempt-3" / "version-000005.parquet")
    assert problems(run, tools) == []
