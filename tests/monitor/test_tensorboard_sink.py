"""Event files, read back by TensorBoard itself."""

import pytest

from toolrl.monitor.tensorboard_sink import TensorBoardSink

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(folder, name):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, round(event.value, 6)) for event in events.Scalars(name)]


def test_scalars_are_there_by_version(tmp_path):
    sink = TensorBoardSink(tmp_path, 0)
    for version in (0, 1, 2):
        sink.write(version, {"reward/mean": version / 4})
    sink.close()
    assert scalars(tmp_path, "reward/mean") == [(0, 0), (1, 0.25), (2, 0.5)]


def test_a_resumed_run_hides_what_lay_beyond_its_checkpoint(tmp_path):
    first = TensorBoardSink(tmp_path, 0)
    for version in range(5):
        first.write(version, {"reward/mean": 0.0})
    first.close()
    again = TensorBoardSink(tmp_path, 2)
    again.write(3, {"reward/mean": 1.0})
    again.close()
    assert scalars(tmp_path, "reward/mean") == [(0, 0), (1, 0), (2, 0), (3, 1)]
