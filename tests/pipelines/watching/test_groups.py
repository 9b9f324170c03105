"""Groups of a run, the newest first: read once a version, found again as files come and go."""

import shutil
from itertools import pairwise

import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.pipelines.watching.groups import GroupKey, Groups


def draws(lines):
    return [(line.key.version, line.key.draw) for line in lines]


def test_the_newest_comes_first_and_says_how_it_went(rl_run):
    groups = Groups(rl_run() / "rollouts")
    newest = groups.newest(wrong_only=False)
    assert (newest.key, newest.prompt_id, newest.trained) == (GroupKey(2, 8), "small talk", True)
    assert newest.reasons == ("correct", "unexpected_call", "unexpected_call", "no_think")
    assert (newest.right, newest.first_wrong, newest.rewards) == (1, 1, (1.0, 0.0, 0.0, 0.0))


def test_one_walks_through_versions_in_both_directions_and_past_what_is_right(rl_run, weather):
    right = (weather.texts.right,) * 2
    groups = Groups(rl_run([*weather.groups, (3, 9, weather.prompt, right)]) / "rollouts")
    order = [GroupKey(3, 9), GroupKey(2, 8), GroupKey(1, 1), GroupKey(1, 0)]
    for newer, older in pairwise(order):
        assert groups.step(newer, older=True, wrong_only=False).key == older
        assert groups.step(older, older=False, wrong_only=False).key == newer
    assert groups.step(order[-1], older=True, wrong_only=False) is None
    assert groups.step(order[0], older=False, wrong_only=False) is None
    assert groups.newest(wrong_only=True).key == GroupKey(2, 8)
    assert draws(groups.around(GroupKey(1, 1), 3, wrong_only=False)) == [(2, 8), (1, 1), (1, 0)]
    assert draws(groups.around(GroupKey(1, 1), 30, wrong_only=False)) == [(3, 9), (2, 8), (1, 1), (1, 0)]


def test_a_new_version_is_found_by_its_name_without_listing_the_folder(rl_run, monkeypatch):
    run = rl_run()
    groups = Groups(run / "rollouts")
    monkeypatch.setattr(rollouts, "files", lambda folder: pytest.fail("listed"))
    assert not groups.poll(2)
    for version in (3, 4):
        shutil.copy(run / "rollouts" / "version-000002.parquet", run / "rollouts" / rollouts.file_name(version))
    assert groups.poll(2)
    assert groups.newest(wrong_only=False).key.version == 4


def test_a_gap_in_the_versions_is_passed_over(rl_run):
    run = rl_run()
    groups = Groups(run / "rollouts")
    shutil.copy(run / "rollouts" / "version-000002.parquet", run / "rollouts" / rollouts.file_name(7))
    assert not groups.poll(4)
    assert groups.poll(7)
    assert groups.newest(wrong_only=False).key.version == 7


def test_what_a_rewind_took_away_is_gone(rl_run, rewind):
    run = rl_run()
    groups = Groups(run / "rollouts")
    rewind(run, 1)
    assert groups.poll(1)
    assert groups.newest(wrong_only=False).key.version == 1
    assert groups.find(GroupKey(2, 8)) is None
    assert groups.samples(GroupKey(2, 8)) == []


def test_the_first_version_of_a_run_is_found_when_it_comes(rl_run):
    run = rl_run()
    (run / "rollouts").rename(run / "later")
    groups = Groups(run / "rollouts")
    assert groups.newest(wrong_only=False) is None
    assert not groups.poll(None)
    (run / "later").rename(run / "rollouts")
    assert groups.poll(2)
    assert groups.newest(wrong_only=False).key.version == 2


def test_a_version_is_read_once_and_few_are_kept(rl_run, monkeypatch):
    run, read = rl_run(), []
    original = rollouts.read_file
    monkeypatch.setattr(rollouts, "read_file", lambda path, columns: (read.append(path.name), original(path, columns))[1])
    groups = Groups(run / "rollouts")
    for _ in range(3):
        groups.around(GroupKey(2, 8), 5, wrong_only=False)
    assert sorted(read) == ["version-000001.parquet", "version-000002.parquet"]


def test_no_text_is_read_for_the_list(rl_run, monkeypatch):
    columns = []
    original = rollouts.read_file
    monkeypatch.setattr(rollouts, "read_file", lambda path, names: (columns.append(names), original(path, names))[1])
    Groups(rl_run() / "rollouts").newest(wrong_only=False)
    assert not {"text", "tokens", "logprobs"} & {*columns[0]}


def test_a_damaged_file_is_told(rl_run):
    run = rl_run()
    (run / "rollouts" / "version-000002.parquet").write_bytes(b"no parquet")
    with pytest.raises(RunFolderError, match="version-000002"):
        Groups(run / "rollouts").newest(wrong_only=False)
