"""The sinks of a run, as they are put together."""

from dataclasses import replace

from toolrl.config.schema import MonitorConfig, RlConfig
from toolrl.monitor.lines import read_lines
from toolrl.monitor.rundir import RunFolder
from toolrl.pipelines.sinks import open_sinks

CONFIG = replace(RlConfig(), monitor=MonitorConfig(tensorboard=False))


def write(folder, version, tokens):
    sinks = open_sinks(CONFIG, folder, version)
    sinks.write(version, {"rollout/completion_tokens_mean": tokens})
    sinks.close()


def test_the_drift_of_a_resumed_run_is_from_its_first_version(tmp_path, capsys):
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        for version, tokens in ((1, 80.0), (2, 100.0), (3, 60.0)):  # each by another attempt
            write(folder, version, tokens)
        assert [line["drift/completion_tokens"] for line in read_lines(folder.metrics)] == [1.0, 1.25, 0.75]
        assert folder.rewind(2) is not None
        write(folder, 3, 40.0)
        assert [line["drift/completion_tokens"] for line in read_lines(folder.metrics)] == [1.0, 1.25, 0.5]
    assert "×0.75" in capsys.readouterr().out
