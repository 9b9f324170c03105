"""checkpoints/best is that of the best version up to the newest checkpoint; where it need not be, why that is so is said.

Scores grow with the version: version 3 is the best of checkpoints 3 and 4, and 6 and 8 are the best of their own.
"""

import fcntl
import json
import shutil

import pytest

from toolrl.checkpoint.store import CheckpointStore
from toolrl.types import RunState


@pytest.fixture
def at_four(run):
    """The run as it was when the checkpoint of version 4 was the newest, and version 3 the best."""
    (run / "summary.json").unlink()
    for version in (6, 8):
        shutil.rmtree(run / "checkpoints" / f"version-{version:08d}")
    shutil.copytree(run / "checkpoints" / "version-00000003", run / "best-3")
    shutil.rmtree(run / "checkpoints" / "best")
    (run / "best-3").rename(run / "checkpoints" / "best")
    return run


def told(run, tools):
    """What is a problem, and what is said of the best weights that is none."""
    found = tools.audited(run, deep=True).findings
    return [p.message for p in found.problems], [text for text in found.unfinished if "checkpoints/best" in text]


def test_the_best_weights_of_the_best_version_are_no_news(at_four, tools):
    assert told(at_four, tools) == ([], [])


def test_a_best_that_is_not_there_is_a_problem(at_four, tools):
    shutil.rmtree(at_four / "checkpoints" / "best")
    assert told(at_four, tools) == (["checkpoints/best is not there, and the best version is 3"], [])


def test_of_a_run_that_has_ended_too(run, tools):
    shutil.rmtree(run / "checkpoints" / "best")
    assert told(run, tools) == (["checkpoints/best is not there, and the best version is 8"], [])


def test_a_best_that_is_another_is_a_problem(at_four, tools):
    best = at_four / "checkpoints" / "best"
    shutil.rmtree(best)
    shutil.copytree(at_four / "checkpoints" / "version-00000002", best)
    assert told(at_four, tools) == (["checkpoints/best is of version 2, and the best version is 3"], [])


@pytest.mark.parametrize("before", [None, 2])
def test_a_best_that_was_about_to_be_written_is_unfinished(at_four, tools, before):
    best = at_four / "checkpoints" / "best"
    shutil.rmtree(best)
    shutil.rmtree(at_four / "checkpoints" / "version-00000004")  # so that 3 is the newest
    if before:
        shutil.copytree(at_four / "checkpoints" / "version-00000002", best)
    has = "of version 2" if before else "not there"
    text = f"checkpoints/best is {has}, and the best version is 3: it was about to be written, which the next start does"
    assert told(at_four, tools) == ([], [text])


def test_a_best_whose_better_one_was_moved_out_with_its_lineage_is_no_problem(at_four, tools):
    moved = at_four / "discarded" / "attempt-2"
    moved.mkdir()
    (at_four / "checkpoints" / "best").rename(moved / "best")
    problems, unfinished = told(at_four, tools)
    assert problems == []
    assert unfinished == [
        "checkpoints/best is not there, and the best version is 3: a better one had taken its place, and is in discarded/ with its "
        "lineage; the next best is kept"
    ]
    assert [(each.attempt, each.best) for each in tools.audited(at_four).discarded] == [(1, False), (2, True)]


def test_a_best_of_a_lineage_that_the_next_start_leaves_is_unfinished(at_four, tools):
    """Whatever it says, and though nothing else tells of version 9 any more."""
    CheckpointStore(at_four / "checkpoints", 99).write_best(RunState(version=9, draws_taken=1, best_heldout=1, best_version=9), tools.fill)
    text = "checkpoints/best is of a version beyond the newest checkpoint, version 4: a start that finds it so moves it to discarded/"
    assert told(at_four, tools) == ([], [text])
    assert tools.start(at_four, seed=3)
    assert told(at_four, tools) == ([], [])
    assert (at_four / "discarded" / "attempt-3" / "best").is_dir()


def test_a_best_that_a_driver_replaces_just_now_is_no_problem(at_four, tools):
    (at_four / "checkpoints" / "best" / "COMPLETE").unlink()
    with (at_four / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert told(at_four, tools)[0] == []
    assert told(at_four, tools)[0] == ["checkpoints/best is not there, and the best version is 3"]


def test_a_run_that_did_not_keep_the_best_all_along_may_lack_it(at_four, tools):
    shutil.rmtree(at_four / "checkpoints" / "best")
    versions = json.loads((at_four / "versions.json").read_text())
    versions["attempts"][1]["changed"] = {"checkpoint.best": {"from": False, "to": True}}
    (at_four / "versions.json").write_text(json.dumps(versions))
    problems, unfinished = told(at_four, tools)
    assert (problems, len(unfinished)) == ([], 1)
    assert unfinished[0].endswith("checkpoint.best was false for some of the attempts; the next best is kept")


def test_the_start_model_is_never_kept_as_the_best(tmp_path, tools):
    run = tmp_path / "run"
    assert tools.start(run, rewards=lambda version: -version)
    assert not (run / "checkpoints" / "best").exists()
    assert told(run, tools) == ([], [])
