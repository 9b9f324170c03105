"""What a run goes on from has its best weights: written where a death came before them, moved away where they are of another lineage."""

import asyncio
import time

import pytest

from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.schema import CheckpointConfig
from toolrl.errors import CheckpointError, DeadlineError
from toolrl.pipelines.store import RunStore
from toolrl.types import RunState


class Learner:
    """Writes its version as its weights."""

    version = 0

    async def sizes(self):
        return 1, 1

    async def save(self, folder, *, timeout_s):
        (folder / "weights").write_text(str(self.version))
        return {}

    export = save


class Template:
    def write(self, folder):
        (folder / "prompt.template").write_text("{tools}")


@pytest.fixture
def scene(tmp_path):
    """A store, its learner, and a function that saves a version."""
    store, learner = CheckpointStore(tmp_path / "checkpoints", keep=9), Learner()
    run = RunStore(store, learner, Template(), CheckpointConfig())

    def save(version, best_version):
        learner.version = version
        return asyncio.run(run.save(RunState(version=version, best_heldout=0.5, best_version=best_version)))

    def mend(version, best_version):
        learner.version = version
        return asyncio.run(run.mend_best(RunState(version=version, best_heldout=0.5, best_version=best_version), tmp_path / "lost"))

    return store, save, mend


def test_best_weights_that_a_death_prevented_are_written_when_the_run_goes_on(scene, monkeypatch):
    store, save, mend = scene
    save(3, 3)
    monkeypatch.setattr(store, "begin_best", lambda needs: (_ for _ in ()).throw(CheckpointError("full")))
    with pytest.raises(CheckpointError):
        save(6, 6)
    monkeypatch.undo()
    assert (store.newest().state.version, store.best_version()) == (6, 3)
    assert mend(6, 6) == "the best weights are those of version 6"
    assert (store.best_version(), (store.best().path / "weights").read_text()) == (6, "6")
    assert mend(6, 6) == ""


def test_best_weights_beyond_the_checkpoint_are_moved_and_the_checkpoints_own_are_written(scene, tmp_path):
    store, save, mend = scene
    save(4, 4)
    save(6, 6)
    said = mend(4, 4)
    assert said == f"the best weights, of version 6, were moved to {tmp_path / 'lost'}; the best weights are those of version 4"
    assert (tmp_path / "lost" / "best" / "weights").read_text() == "6"
    assert store.best_version() == 4


def test_better_ones_that_were_given_up_are_told(scene):
    store, save, mend = scene
    save(2, 2)
    save(6, 6)
    assert mend(4, 2).endswith("the best weights so far, of version 2, are not there; those of the next best are kept")
    assert store.best_version() is None


def test_damaged_best_weights_are_moved_and_no_run_ends_by_them(scene, tmp_path):
    store, save, mend = scene
    save(4, 4)
    (store.best().path / "weights").write_text("5")
    assert "the best weights, damaged (" in mend(4, 4)
    assert (tmp_path / "lost" / "best" / "weights").read_text() == "5"
    assert store.best_version() == 4


def test_a_run_whose_best_is_older_or_none_is_left_as_it_is(scene):
    store, save, mend = scene
    assert mend(0, None) == ""
    save(2, 2)
    save(4, 2)
    assert mend(4, 2) == ""
    assert mend(4, 0) == "", "the start model is nobody's best"
    assert store.best_version() == 2


def test_a_file_system_that_does_not_answer_is_an_error_at_the_deadline(tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path / "checkpoints", keep=9)
    monkeypatch.setattr(store, "commit", lambda aside, state, sealed: time.sleep(0.3))
    run = RunStore(store, Learner(), Template(), CheckpointConfig(timeout_s=0.05))
    with pytest.raises(DeadlineError, match=r"not on the disk within checkpoint\.timeout_s=0\.05 s"):
        asyncio.run(run.save(RunState(version=1)))
