"""A run's folder says which command made it, whatever version of toolrl that was of."""

import pytest

from toolrl.config.asking import EvaluateConfig
from toolrl.config.load import to_yaml
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import RunFolderError
from toolrl.monitor.trained import trained


@pytest.mark.parametrize(("command", "config"), [("rl", RlConfig()), ("sft", SftConfig())])
def test_a_run_is_of_the_command_whose_settings_it_has(tmp_path, command, config):
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    found, written = trained(tmp_path)
    assert found == command
    assert written["run.steps"] == config.run.steps


@pytest.mark.parametrize(
    ("text", "command"),
    [("run: {steps: 3}\nlearner: {lr: 1}\nalgo: {kl_coef: 0, gone: 1}\n", "rl"), ("learner: {lr: 1}\nloop: {rows_per_batch: 4}\n", "sft")],
)
def test_settings_that_are_gone_or_not_there_yet_do_not_matter(tmp_path, text, command):
    (tmp_path / "config.yaml").write_text(text)
    assert trained(tmp_path)[0] == command


def test_a_folder_of_another_command_is_refused_by_its_name(tmp_path):
    (tmp_path / "config.yaml").write_text(to_yaml(EvaluateConfig()))
    with pytest.raises(RunFolderError, match=r"settings of `toolrl evaluate`.*`toolrl explain`"):
        trained(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="not a folder; give the run"):
        trained(tmp_path / "file")
