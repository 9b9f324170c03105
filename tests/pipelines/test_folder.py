import os
import shutil
from pathlib import Path

import pytest

from toolrl.errors import UserError
from toolrl.pipelines import folder
from toolrl.pipelines.folder import restore, whole_folder, write_text


def make(out, text):
    with whole_folder(out) as aside:
        write_text(aside / "a", text)
        write_text(aside / "b", text)


def there(parent):
    """Everything under a folder, with its text."""
    return {str(path.relative_to(parent)): path.read_text() for path in sorted(parent.rglob("*")) if path.is_file()}


WHOLE = {"out/a": "new", "out/b": "new"}
FORMER = {"out/a": "old", "out/b": "old"}


def dies_at(step, out):
    """Run `make` in a process of its own that ends without a word before its `step`-th change of the disk; whether it came that far."""
    child = os.fork()
    if child == 0:
        left = iter(range(step))

        def mortal(real):
            def call(*args, **kwargs):
                if next(left, None) is None:
                    os._exit(9)
                return real(*args, **kwargs)

            return call

        for owner, names in ((Path, ("rename", "mkdir", "open", "rmdir")), (shutil, ("rmtree",)), (folder, ("sync",))):
            for name in names:
                setattr(owner, name, mortal(getattr(owner, name)))
        try:
            make(out, "new")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("existing", [False, True])
def test_killed_before_any_change_of_the_disk_the_next_run_finds_the_old_or_the_new_and_clears_the_rest(tmp_path, existing):
    out, steps = tmp_path / "out", 0
    while True:
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        if existing:
            make(out, "old")
        if not dies_at(steps, out):
            break
        restore(out)
        whole = {name: text for name, text in there(tmp_path).items() if name.startswith("out/")}
        assert whole in (FORMER, WHOLE) or (not existing and not whole)
        make(out, "new")
        assert there(tmp_path) == WHOLE
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        steps += 1
    assert steps >= 6 + 2 * existing
    assert there(tmp_path) == WHOLE


def fail(out, error):
    with whole_folder(out) as aside:
        write_text(aside / "a", "new")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_no_new_parents(tmp_path, error):
    make(tmp_path / "out", "old")
    for out in (tmp_path / "out", tmp_path / "new" / "deep" / "out"):
        with pytest.raises(error):
            fail(out, error)
    assert there(tmp_path) == FORMER
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_while_one_run_writes_a_folder_another_is_refused_and_disturbs_nothing(tmp_path):
    with whole_folder(tmp_path / "out") as aside:
        write_text(aside / "a", "new")
        with pytest.raises(UserError, match="out: another run is writing it; wait for it, or name another folder"):
            make(tmp_path / "out", "other")
        write_text(aside / "b", "new")
    assert there(tmp_path) == WHOLE
    make(tmp_path / "out", "old")
    assert there(tmp_path) == FORMER


def test_a_place_that_cannot_be_written_is_the_users_to_change(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), whole_folder(tmp_path / "file" / "out"):
        pass
