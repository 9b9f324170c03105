"""TensorBoard event files, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from toolrl.types import WeightVersion


class TensorBoardSink:
    """Writes every metric as a scalar; the step is the version.

    Args:
        folder: Of the event files.
        start: Version the run goes on from. TensorBoard hides what earlier files say of later versions.
    """

    def __init__(self, folder: Path, start: WeightVersion) -> None:
        self._writer = EventFileWriter(str(folder))
        self._writer.add_event(Event(step=start + 1 if start else 0, session_log=SessionLog(status=SessionLog.START)))

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Write the scalars of `version`."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._writer.add_event(Event(step=version, summary=Summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
