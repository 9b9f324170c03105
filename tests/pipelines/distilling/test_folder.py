"""The folder of a distillation: nothing of others is touched, nothing is half-written, and a mistake leaves none behind."""

import json

import pytest

from toolrl.config.asking import DistillConfig, FolderConfig
from toolrl.errors import ConfigError, RunError, RunFolderError
from toolrl.pipelines.distilling import folder
from toolrl.rollout.replies import Reply
from toolrl.types import Message, Prompt, ToolCall

PROMPT = Prompt("a", "hand", (Message("user", "u"),), (), (ToolCall("f", {}),), "d")
REPLIES = {("a", sample): Reply(f"text {sample}", "stop", 1, 1) for sample in range(3)}


def mistaken(journal):
    journal.add(("a", 0), REPLIES["a", 0])
    raise ConfigError("no key")


def test_a_mistake_before_any_reply_leaves_no_folder_and_after_one_it_stays(tmp_path):
    path = tmp_path / "x" / "y"
    with pytest.raises(ConfigError), folder.opened(path, {}):
        raise ConfigError("no key")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError), folder.opened(path, {}) as journal:
        mistaken(journal)
    assert (path / folder.REPLIES).exists()
    with pytest.raises(RunError), folder.opened(tmp_path / "z", {}):
        raise RunError("nobody answers")
    assert (tmp_path / "z").exists(), "who answers later goes on there"


def test_a_folder_that_was_there_stays(tmp_path):
    with pytest.raises(ConfigError), folder.opened(tmp_path, {}):
        raise ConfigError("no key")
    assert tmp_path.exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.yaml"])
def test_a_folder_of_another_command_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(RunFolderError, match=f"holds no distillation, but {name}"), folder.opened(tmp_path, {}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_further_completions_of_a_prompt_have_names_of_their_own(tmp_path):
    folder.write_demonstrations(tmp_path, [(PROMPT, 1), (PROMPT, 2)], REPLIES)
    lines = [json.loads(line) for line in (tmp_path / folder.DEMONSTRATIONS).read_text().splitlines()]
    assert [(row["id"], row["dialogue"], row["sample"], row["completion"]) for row in lines] == [
        ("a", "d", 1, "text 1"),
        ("a~2", "d", 2, "text 2"),
    ]


def test_demonstrations_are_replaced_whole_or_not_at_all(tmp_path):
    folder.write_demonstrations(tmp_path, [(PROMPT, 0)], REPLIES)
    before = (tmp_path / folder.DEMONSTRATIONS).read_bytes()

    def torn():
        yield PROMPT, 1
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        folder.write_demonstrations(tmp_path, torn(), REPLIES)
    assert (tmp_path / folder.DEMONSTRATIONS).read_bytes() == before


def test_a_distillation_has_ended_where_its_report_is_of_the_same_settings(tmp_path):
    config = DistillConfig()
    assert folder.ended(tmp_path, config) is None
    folder.begin(tmp_path, config, "template\n")
    assert folder.ended(tmp_path, config) is None
    folder.write_report(tmp_path, {"prompts": 3})
    assert folder.ended(tmp_path, config) == {"prompts": 3}
    assert folder.ended(tmp_path, DistillConfig(run=FolderConfig(seed=1))) is None
    folder.begin(tmp_path, config, "template\n")
    assert folder.ended(tmp_path, config) is None, "asked anew, it has not ended"
