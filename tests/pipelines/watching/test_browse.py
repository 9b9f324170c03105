"""Walking through the groups of a run that goes on."""

import shutil

import pytest

from toolrl.errors import RunFolderError
from toolrl.monitor.rollouts import file_name
from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.groups import GroupKey, Groups


@pytest.fixture
def browse(rl_run):
    def make(*arguments, **named):
        run = rl_run(*arguments, **named)
        groups = Groups(run / "rollouts")
        return run, groups, Browser(run, groups)

    return make


def test_the_newest_is_followed_until_a_key_is_pressed_and_again_once_one_is_back(browse):
    run, groups, browser = browse()
    newer = run / "rollouts" / file_name(3)
    assert browser.current().key == GroupKey(2, 8)
    assert browser.older()
    assert browser.current().key == GroupKey(1, 1)
    assert browser.newer()
    assert browser.place.key is None
    browser.older()
    shutil.copy(run / "rollouts" / file_name(2), newer)
    groups.poll(3)
    assert browser.current().key == GroupKey(1, 1)
    browser.newer()
    browser.newer()
    assert browser.current().key == GroupKey(3, 8)
    assert browser.place.key is None


def test_the_ends_of_the_list_are_kept_to(browse):
    _, _, browser = browse()
    assert not browser.newer()
    while browser.older():
        pass
    assert browser.current().key == GroupKey(1, 0)


def test_the_first_wrong_completion_is_shown_and_others_on_demand(browse):
    _, _, browser = browse()
    assert browser.explanation().row["sample"] == 1
    browser.other_sample(1)
    assert browser.explanation().row["sample"] == 2
    browser.other_sample(-3)
    assert browser.explanation().row["sample"] == 3  # around the end
    browser.older()
    assert browser.explanation().row["sample"] == 0


def test_a_completion_is_beside_its_reference(browse):
    _, _, browser = browse()
    browser.older()
    explanation = browser.explanation()
    city = explanation.diffs[0].arguments[0]
    assert (city.path, city.expected, city.got) == ("city", "Oslo", "Rome")


def test_a_group_that_a_rewind_took_leads_back_to_the_newest(browse, rewind):
    run, groups, browser = browse()
    browser.other_sample(1)
    rewind(run, 1)
    groups.poll(1)
    assert browser.current().key == GroupKey(1, 1)
    assert browser.place.key is None


def test_filtered_are_groups_that_are_all_right(browse, weather):
    _, _, browser = browse([*weather.groups, (3, 9, weather.prompt, (weather.texts.right,) * 2)])
    assert browser.current().key == GroupKey(3, 9)
    browser.filter_wrong()
    assert browser.current().key == GroupKey(2, 8)
    assert [line.key.draw for line in browser.around(10)] == [8, 1, 0]
    browser.filter_wrong()
    assert browser.current().key == GroupKey(3, 9)


def test_a_prompt_that_is_not_there_is_told(browse):
    run, _, browser = browse()
    (run / "prompts.parquet").unlink()
    with pytest.raises(RunFolderError, match=r"prompts\.parquet"):
        browser.explanation()


def test_a_run_without_groups_has_no_place(tmp_path):
    browser = Browser(tmp_path, Groups(tmp_path / "rollouts"))
    assert browser.current() is None
    assert browser.around(5) == []
    assert browser.explanation() is None
    assert not browser.older()
    browser.other_sample(1)
