import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from toolrl.checkpoint import store as module
from toolrl.checkpoint.files import digests
from toolrl.checkpoint.store import CheckpointStore
from toolrl.errors import CheckpointError, RunFolderError
from toolrl.types import RunState, WeightVersion


def state(version):
    return RunState(WeightVersion(version), version * 4, version * 2, best_heldout=0.25, best_version=WeightVersion(1))


def fill_with(text):
    def fill(folder):
        (folder / "learner").mkdir()
        (folder / "learner" / "rank-0.pt").write_text(text)

    return fill


def content(path):
    return (path / "learner" / "rank-0.pt").read_text()


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints", keep=2)


def names(store):
    return sorted(path.name for path in store._folder.iterdir())


def test_the_newest_is_returned_with_its_state(store):
    assert store.newest() is None
    for version in (9, 10, 11):
        store.write(state(version), fill_with(f"weights {version}"))
    found = store.newest()
    assert (found.state, content(found.path), found.skipped) == (state(11), "weights 11", ())
    assert names(store) == ["version-00000010", "version-00000011"]


def test_several_parts_can_fill_a_checkpoint_between_begin_and_commit(store):
    path = store.begin(WeightVersion(3))
    (path / "a").write_text("1")
    (path / "b").write_text("2")
    assert store.newest() is None
    store.commit(path, state(3))
    assert store.newest().state == state(3)


class CrashError(BaseException):
    """A power cut: nothing recovers from it in process."""


def crash_at(monkeypatch, number):
    """Raise at the `number`-th call that touches the disk; return how many were made."""
    calls = []

    def counted(function):
        def wrapper(*args, **kwargs):
            calls.append(function)
            if len(calls) == number:
                raise CrashError
            return function(*args, **kwargs)

        return wrapper

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    for name in ("rename", "write_text", "mkdir", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    return calls


@pytest.mark.parametrize("same_version", [False, True])
def test_a_crash_at_any_point_leaves_a_whole_checkpoint_and_the_next_write_works(tmp_path, monkeypatch, same_version):
    for number in range(1, 1000):
        store = CheckpointStore(tmp_path / str(number), keep=1)
        store.write(state(1), fill_with("old"))
        after = state(1) if same_version else state(2)
        with monkeypatch.context() as patch:
            calls = crash_at(patch, number)
            try:
                store.write(after, fill_with("new"))
            except CrashError:
                pass
            else:
                assert len(calls) < number
                break
        found = CheckpointStore(tmp_path / str(number), keep=1).newest()
        assert content(found.path) in ("old", "new")
        assert found.state == (state(1) if content(found.path) == "old" else after)
        CheckpointStore(tmp_path / str(number), keep=1).write(state(3), fill_with("later"))
        assert content(store.newest().path) == "later"
        assert names(store) == ["version-00000003"]
    assert number > 15, "every step of a write was cut"


def test_a_crash_while_the_best_is_replaced_leaves_one_of_the_two(tmp_path, monkeypatch):
    for number in range(1, 1000):
        store = CheckpointStore(tmp_path / str(number), keep=1)
        store.write_best(state(1), fill_with("old"))
        with monkeypatch.context() as patch:
            crash_at(patch, number)
            try:
                store.write_best(state(2), fill_with("new"))
            except CrashError:
                assert content(CheckpointStore(tmp_path / str(number), keep=1).best().path) in ("old", "new")
            else:
                break
    assert content(store.best().path) == "new"
    assert names(store) == ["best"]


def damage_cut(path):
    os.truncate(path / "learner" / "rank-0.pt", 3)


def damage_flip(path):
    file = path / "learner" / "rank-0.pt"
    file.write_text(file.read_text().replace("w", "v"))


def damage_remove(path):
    (path / "learner" / "rank-0.pt").unlink()


def damage_mark(path):
    (path / "COMPLETE").write_text('{"learner')


def damage_add(path):
    (path / "stray").write_text("")


def damage_mark_to(text):
    def damage(path):
        (path / "COMPLETE").write_text(text)

    return damage


def damage_mark_pipe(path):
    (path / "COMPLETE").unlink()
    os.mkfifo(path / "COMPLETE")


DAMAGES = (
    damage_cut, damage_flip, damage_remove, damage_mark, damage_add, damage_mark_pipe,
    *map(damage_mark_to, ("[]", "7", "null", "[" * 20_000, '{"state.json": null}')),
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_passed_over_and_named(store, damage):
    store.write(state(1), fill_with("weights 1"))
    damaged = store.write(state(2), fill_with("weights 2"))
    damage(damaged)
    found = store.newest()
    assert found.state == state(1)
    assert len(found.skipped) == 1
    assert str(damaged) in found.skipped[0]
    with pytest.raises(CheckpointError, match="version-00000002"):
        store.verify(damaged)


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_all_are_damaged_nothing_begins_anew_and_nothing_is_touched(store, damage):
    for version in (1, 2):
        damage(store.write(state(version), fill_with(f"weights {version}")))
    before = names(store)
    with pytest.raises(RunFolderError, match=r"(?s)none of its checkpoints is whole; put one back .*version-00000002.*version-00000001"):
        store.newest()
    assert names(store) == before


def test_a_first_checkpoint_without_its_mark_is_that_of_a_crash_and_the_run_begins_anew(store):
    (store.write(state(1), fill_with("weights 1")) / "COMPLETE").unlink()
    assert store.newest() is None


def test_a_folder_of_another_name_is_no_checkpoint_and_stays(store):
    store.write(state(1), fill_with("weights 1"))
    (store._folder / "version-of-mine").mkdir()
    for version in (2, 3):
        store.write(state(version), fill_with(f"weights {version}"))
    assert store.newest().skipped == ()
    assert names(store) == ["version-00000002", "version-00000003", "version-of-mine"]


def test_a_state_of_another_version_of_toolrl_is_said_to_be(store):
    path = store.begin(WeightVersion(1))
    final = store.commit(path, state(1))
    (final / "state.json").write_text('{"epochs": 3}')
    (final / "COMPLETE").write_text(json.dumps(digests(final, module._content(final))))
    with pytest.raises(CheckpointError, match=r"state.json is of another version of toolrl .*epochs"):
        store.verify(final)


def test_after_a_rewind_the_checkpoints_of_the_left_lineage_are_pruned_not_kept_in_place_of_good_ones(store):
    store.write(state(10), fill_with("weights 10"))
    damage_cut(store.write(state(20), fill_with("weights 20")))
    store.write(state(15), fill_with("weights 15"))
    assert names(store) == ["version-00000010", "version-00000015"]


def test_what_its_writer_has_sealed_is_not_read_again(store):
    path = store.begin(WeightVersion(1))
    (path / "of-a-rank").write_text("weights")
    (path / "of-nobody").write_text("more")
    final = store.commit(path, state(1), {"of-a-rank": [7, "digest"]})
    assert json.loads((final / "COMPLETE").read_text()) == digests(final, module._content(final)) | {"of-a-rank": [7, "digest"]}


@pytest.mark.parametrize(
    ("sealed", "told"), [({"of-a-rank": [6, "d"]}, "of-a-rank: .* 6 bytes, and here are 7"), ({"gone": [7, "d"]}, "gone: .*none")]
)
def test_what_was_sealed_and_is_not_here_as_it_was_is_no_checkpoint(store, monkeypatch, sealed, told):
    monkeypatch.setattr(module, "VISIBLE_S", 0.05)
    store.write(state(1), fill_with("weights"))
    path = store.begin(WeightVersion(2))
    (path / "of-a-rank").write_text("weights")
    with pytest.raises(CheckpointError, match=told):
        store.commit(path, state(2), sealed)
    assert store.newest().state == state(1)


def test_a_file_of_another_node_that_is_seen_a_little_later_is_waited_for(store, monkeypatch):
    monkeypatch.setattr(module, "VISIBLE_S", 10.0)
    path = store.begin(WeightVersion(1))
    threading.Timer(0.3, lambda: (path / "of-a-rank").write_text("weights")).start()
    store.commit(path, state(1), digests_of_weights(path))
    assert store.newest().state == state(1)


def digests_of_weights(folder):
    """What a rank tells of a file that this node does not see yet."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "of-a-rank").write_text("weights")
    return digests(elsewhere, [elsewhere / "of-a-rank"])


def test_best_weights_of_a_lineage_that_was_left_are_moved_whole(store, tmp_path):
    assert store.best_version() is None
    for number in (3, 6):
        store.write_best(state(number), fill_with(f"weights {number}"))
        assert store.best_version() == number
        store.set_best_aside(tmp_path / "lost")
        assert store.best_version() is None
        assert content(tmp_path / "lost" / "best") == f"weights {number}"


@pytest.mark.parametrize("best", [False, True])
def test_a_first_checkpoint_is_given_the_room_that_its_writers_name(store, monkeypatch, best):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 10**12, 1_049))
    begin = store.begin_best if best else lambda needs: store.begin(WeightVersion(1), needs)
    with pytest.raises(CheckpointError, match=r"needs about 1,050 bytes, and 1,049 are free; .* or name another run\.dir"):
        begin(1_000)
    assert store.newest() is None
    assert names(store) == []
    assert begin(999).is_dir()


def test_a_full_disk_is_an_error_that_says_what_to_do_and_touches_nothing(store, monkeypatch):
    store.write(state(1), fill_with("weights 1"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "sync", full)
    with pytest.raises(CheckpointError, match=r"No space left.*resume"):
        store.write(state(2), fill_with("weights 2"))
    monkeypatch.undo()
    assert store.newest().state == state(1)


@pytest.mark.parametrize("best", [False, True])
def test_a_disk_that_will_be_too_full_is_found_before_anything_is_written(store, monkeypatch, best):
    store.write(state(1), fill_with("w" * 1_000))
    store.write_best(state(1), fill_with("w" * 1_000))
    before, listed = store.newest(), names(store)
    size = sum(file.stat().st_size for file in before.path.rglob("*") if file.is_file())
    free = {"bytes": int(1.05 * size) - 1}
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 10**12, free["bytes"]))
    begin = store.begin_best if best else lambda: store.begin(WeightVersion(2))
    with pytest.raises(CheckpointError, match=rf"needs about {int(1.05 * size):,} bytes, and {free['bytes']:,} are free"):
        begin()
    assert (store.newest(), names(store)) == (before, listed)
    free["bytes"] += 1
    assert begin().is_dir()
