"""A run is read as it is: its state, its attempts, and what of it was discarded; what is damaged is named."""

import json
import shutil
from fcntl import LOCK_EX, flock

import pytest

from toolrl.config.load import to_yaml
from toolrl.config.sft import SftConfig
from toolrl.errors import ConfigError, RunFolderError
from toolrl.pipelines.reporting.record import Discarded, read_records


def test_the_state_of_a_run_is_told(with_metrics):
    run = with_metrics()
    assert read_records([run])[0].state == "stopped at version 2 of 100"
    with (run / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        assert read_records([run])[0].state == "in progress, version 2 of 100"
    (run / "summary.json").write_text("{}")
    assert read_records([run])[0].state == "ended, version 2"


def test_a_supervised_run_has_no_rollouts_and_is_read_all_the_same(tmp_path):
    (tmp_path / "config.yaml").write_text(to_yaml(SftConfig()))
    (tmp_path / "metrics.jsonl").write_text('{"version": 1, "learner/loss": 2.5}\n')
    (record,) = read_records([tmp_path])
    assert (record.command, record.version, record.prompts) == ("sft", 1, None)


def test_what_a_rewind_took_out_is_counted_and_is_in_no_line(with_metrics):
    run = with_metrics()
    folder = run / "discarded" / "attempt-1"
    folder.mkdir(parents=True)
    shutil.copy(run / "rollouts" / "version-000002.parquet", folder / "version-000003.parquet")
    (folder / "metrics.jsonl").write_text('{"version": 3}\n{"version": 4}\n')
    (record,) = read_records([run])
    assert record.discarded == (Discarded(1, (3, 4), 4),)
    assert [line["version"] for line in record.lines] == [0, 1, 2]


def test_runs_of_one_name_get_longer_ones(with_metrics, tmp_path):
    one = with_metrics()
    (tmp_path / "b").mkdir()
    other = shutil.copytree(one, tmp_path / "b" / "run")
    assert [record.name for record in read_records([one, other])] == [f"{tmp_path.name}/run", "b/run"]


def test_a_run_named_twice_is_refused(with_metrics):
    run = with_metrics()
    with pytest.raises(ConfigError, match="named twice"):
        read_records([run, run / "."])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("config.yaml", "a: [", "config.yaml"), ("config.yaml", "x: {y: 1}", "config.yaml"),
     ("metrics.jsonl", "{}\n", "metrics.jsonl, line 1"),
     ("versions.json", "[]", "versions.json"), ("summary.json", "[", "summary.json"), ("prompts.parquet", "x", "prompts.parquet")],
)  # fmt: skip
def test_a_damaged_file_is_named(with_metrics, name, content, says):
    run = with_metrics()
    (run / name).write_text(content)
    with pytest.raises(RunFolderError, match=says) as error:
        read_records([run])
    assert str(run) in str(error.value)


def test_a_folder_without_a_run_and_one_without_a_line_are_refused(tmp_path, with_metrics):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RunFolderError, match=r"run\.dir of a `toolrl rl`"):
            read_records([path])
    run = with_metrics(lines=[])
    shutil.rmtree(run / "rollouts")
    with pytest.raises(RunFolderError, match="nothing to show yet"):
        read_records([run])


def test_settings_of_another_command_are_refused_by_its_name(tmp_path):
    from toolrl.config.serving import ServeConfig

    (tmp_path / "config.yaml").write_text(to_yaml(ServeConfig()))
    (tmp_path / "metrics.jsonl").write_text('{"version": 1}\n')
    with pytest.raises(RunFolderError, match="settings of `toolrl serve`"):
        read_records([tmp_path])


def test_a_prompt_that_is_gone_is_told(with_metrics, make_run, weather):
    from toolrl.pipelines.reporting.groups import GroupIndex

    run = with_metrics()
    other = make_run([(1, 0, weather.prompt, (weather.texts.right,))], name="other")
    shutil.copy(other / "prompts.parquet", run / "prompts.parquet")
    (record,) = read_records([run])
    assert json.loads((run / "versions.json").read_text())["attempts"]
    with pytest.raises(RunFolderError, match="'small talk'"):
        GroupIndex(record.rollouts, record.prompts)
