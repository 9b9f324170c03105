"""Groups are listed with their own numbers, filtered by what is asked, and read again only where a file is new."""

import os
import shutil

import pytest

from toolrl.errors import ConfigError
from toolrl.monitor import rollouts
from toolrl.monitor.prompts import read_prompts
from toolrl.pipelines.reporting.groups import NO_TOOL, GroupIndex, Wanted


@pytest.fixture
def index(make_run):
    run = make_run()
    return GroupIndex(run / "rollouts", read_prompts(run / "prompts.parquet"))


def numbers(index, **given):
    rows, total = index.page(Wanted.of({name: str(value) for name, value in given.items()}), 0, 10)
    assert total == len(rows)
    return [row.draw for row in rows]


def test_a_group_has_the_numbers_of_its_completions(index):
    first, second, third = index.rows
    assert (first.version, first.draw, first.prompt_id, first.tools) == (1, 0, "weather", ("forecast",))
    assert first.rewards == (1.0, 0.0, 0.0, 1.0)
    assert first.reasons == ("correct", "not_a_list", "wrong_value", "correct")
    assert first.mean == 0.5
    assert first.kept
    assert second.ages == (0, 0, 0, 0)  # the weights behind it are those of version 0, and it made version 1
    assert third.ages == (1, 1, 1, 1)
    assert third.tools == (NO_TOOL,)
    assert index.completions() == 12


@pytest.mark.parametrize(
    ("given", "draws"),
    [({}, [8, 1, 0]), ({"order": "oldest"}, [0, 1, 8]), ({"order": "lowest"}, [1, 8, 0]), ({"order": "highest"}, [0, 8, 1]),
     ({"reason": "not_a_list"}, [0]), ({"reason": "wrong_value"}, [1, 0]), ({"low": 0.2}, [8, 0]), ({"high": 0.0}, [1]),
     ({"low": 0.5, "high": 0.5}, [0]), ({"first": 2}, [8]), ({"last": 1}, [1, 0]), ({"tool": "forecast"}, [1, 0]), ({"tool": NO_TOOL}, [8]),
     ({"prompt": "SMALL"}, [8]), ({"same": "weather"}, [1, 0]), ({"same": "weath"}, [])],
)  # fmt: skip
def test_what_is_wanted_is_found_in_the_order_that_is_asked(index, given, draws):
    assert numbers(index, **given) == draws


def test_pages_follow_each_other(index):
    pages = [index.page(Wanted(), start, 2) for start in (0, 2, 4)]
    assert [([row.draw for row in rows], total) for rows, total in pages] == [([8, 1], 3), ([0], 3), ([], 3)]


@pytest.mark.parametrize("given", [{"low": "x"}, {"first": "1.5"}, {"order": "best"}])
def test_a_query_that_is_none_is_refused(given):
    with pytest.raises(ConfigError):
        Wanted.of(given)


def test_only_files_that_are_new_or_others_are_read_again(index, monkeypatch):
    read, folder = [], index._folder
    before = rollouts.read_file
    monkeypatch.setattr(rollouts, "read_file", lambda path, columns: read.append(path.name) or before(path, columns))
    index.refresh()
    assert read == []
    shutil.copy(folder / "version-000002.parquet", folder / "version-000003.parquet")
    os.utime(folder / "version-000001.parquet", ns=(1, 1))
    index.refresh()
    assert read == ["version-000001.parquet", "version-000003.parquet"]
    (folder / "version-000003.parquet").unlink()
    index.refresh()
    assert [row.version for row in index.rows] == [1, 1, 2]


def test_a_group_that_is_gone_is_told(index):
    assert index.named(2, 8).prompt_id == "small talk"
    for version, draw in ((2, 0), (7, 8)):
        with pytest.raises(ConfigError, match=f"version {version} has no draw {draw}"):
            index.named(version, draw)


def test_without_texts_a_group_is_still_listed(make_run):
    run = make_run(keep="share")
    rows = GroupIndex(run / "rollouts", read_prompts(run / "prompts.parquet")).rows
    assert [row.kept for row in rows] == [True, False, True]  # one draw in eight
