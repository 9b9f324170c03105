"""metrics.jsonl: one line of metrics for each version, on disk before the loop goes on.

    {"version": 12, "time": 1767225600.0, "loop/step_s": 1.53, …}

Metrics that are not finite are null, so that every line is JSON. A crash can only tear the last line; readers pass over it.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.monitor.durable import replace_text
from toolrl.types import WeightVersion

Line = dict[str, Any]
"""`version`, `time` (seconds since 1970), and metrics; a metric that was not finite is None."""
_BEGIN = '{"version": '
_REMEDY = "remove the line, or start anew in another run.dir"


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

    Raises RunFolderError where there is something else, with the line that is none of metrics.
    """
    if not os.path.lexists(path):
        return []
    if not path.is_file():  # a pipe would be waited for without end
        raise RunFolderError(f"{path}: not a file; put back the file that the run wrote")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}); allow it") from error
    *whole, torn = text.split("\n")
    require_begun(torn, f"{path}, line {len(whole) + 1}")
    return [parse_line(each, f"{path}, line {number}") for number, each in enumerate(whole, start=1)]


def require_begun(torn: str, place: str) -> None:
    """Raise RunFolderError where the last text of a file, which no line feed ends, is not the beginning of a line."""
    torn = torn.rstrip("\0")  # what a file system may put where it lost the end of a file
    if not torn.startswith(_BEGIN[: len(torn)]):
        raise RunFolderError(f"{place}: not a line of metrics, got {torn[:40]!r}; {_REMEDY}")


def parse_line(text: str, place: str) -> Line:
    """Return a line of metrics. Raises RunFolderError with its `place` where it is none."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{place}: not JSON ({error}); {_REMEDY}") from error
    if not isinstance(line, dict) or type(line.get("version")) is not int:
        raise RunFolderError(f"{place}: expected an object with a whole `version`, got {text[:60]!r}; {_REMEDY}")
    if wrong := [name for name, value in line.items() if value is not None and not _is_number(value)]:
        raise RunFolderError(f"{place}: {wrong[0]}: got {str(line[wrong[0]])[:40]!r}, expected a number; {_REMEDY}")
    return line


def _is_number(value: Any) -> bool:
    """Whether it is a finite number: `json` also reads NaN, and 1e999 as infinity, which no figure or curve can be made of."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def write_lines(path: Path, lines: list[Line]) -> None:
    """Replace a metrics file by `lines`, atomically."""
    replace_text(path, "".join(json.dumps(line) + "\n" for line in lines))
