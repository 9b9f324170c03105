"""metrics.jsonl: one line of metrics for each version, on disk before the loop goes on.

    {"version": 12, "time": 1767225600.0, "loop/step_s": 1.53, …}

Metrics that are not finite are null, so that every line is JSON. A crash can only tear the last line; readers pass over it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.monitor.durable import replace_text
from toolrl.types import WeightVersion

Line = dict[str, Any]
"""`version`, `time` (seconds since 1970), and metrics; a metric that was not finite is None."""


class JsonlSink:
    """Appends to metrics.jsonl, synced line by line.

    Args:
        path: The file; made if it is not there.
        now: Wall clock, seconds since 1970.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            write_lines(path, read_lines(path))  # a crash tore the last line: what follows must not be joined to it
        self._file = path.open("a", encoding="utf-8")
        self._now = now

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Append the line of `version`; on disk when this returns."""
        values = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
        self._file.write(json.dumps({"version": version, "time": self._now(), **values}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a metrics file in order, [] where there is none. A torn last line is left out.

    Raises RunFolderError for any other line that is not JSON.
    """
    if not path.exists():
        return []
    lines: list[Line] = []
    texts = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, text in enumerate(texts[:-1], start=1):  # what follows the last newline was never finished
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            raise RunFolderError(f"{path}, line {number}: not JSON ({error}); remove the line, or start anew in another run.dir") from error
    return lines


def write_lines(path: Path, lines: list[Line]) -> None:
    """Replace a metrics file by `lines`, atomically."""
    replace_text(path, "".join(json.dumps(line) + "\n" for line in lines))
