"""metrics.jsonl for an audit: where the line of each version is, whether each is there once, and one line at a time.

The file stays open: a driver that replaces it meanwhile does not change what is read.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import IO

from toolrl.errors import RunFolderError
from toolrl.monitor.lines import Line
from toolrl.pipelines.auditing.findings import Findings


class MetricLines:
    """The lines of one run by version; of a version that has two the first. A torn last line is left out.

    Args:
        path: metrics.jsonl; no file is as an empty one.
        findings: Receives what is wrong with the file as a whole.

    Raises:
        RunFolderError: It cannot be opened.
    """

    def __init__(self, path: Path, findings: Findings) -> None:
        self.torn = False
        """Whether a crash tore the last line, or a driver is at it."""
        self.newest = -1
        """The last version that has a line; -1 where none has."""
        self._offsets: dict[int, int] = {}
        self._file: IO[bytes] | None = None
        try:
            if path.exists() and not path.is_file():  # a pipe would be waited for without end
                raise OSError(0, "not a file")
            self._file = path.open("rb") if path.exists() else None
        except OSError as error:
            raise RunFolderError(f"{path}: not readable ({error.strerror}); put back the file that the run wrote") from error
        if self._file is not None:
            self._index(self._file, findings)

    @property
    def versions(self) -> Collection[int]:
        """Those that have a line."""
        return self._offsets.keys()

    def of(self, version: int) -> Line | None:
        """Return the line of a version, None where there is none."""
        if self._file is None or version not in self._offsets:
            return None
        self._file.seek(self._offsets[version])
        line: Line = json.loads(self._file.readline())
        return line

    def __enter__(self) -> MetricLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def _index(self, file: IO[bytes], findings: Findings) -> None:
        offset = 0
        for number, text in enumerate(file, start=1):
            self.torn = not text.endswith(b"\n")
            version = None if self.torn else _version_of(text)
            if self.torn:
                pass
            elif version is None:
                findings.problem("broken line", f"metrics.jsonl, line {number}: not the line of a version")
            elif version in self._offsets:
                findings.problem("doubled line", f"version {version}: has a second line in metrics.jsonl, line {number}", version=version)
            else:
                if version < self.newest:
                    message = f"version {version}: its line in metrics.jsonl, line {number}, stands after that of version {self.newest}"
                    findings.problem("line out of order", message, version=version)
                self._offsets[version] = offset
                self.newest = max(self.newest, version)
            offset += len(text)


def _version_of(text: bytes) -> int | None:
    try:
        version = json.loads(text)["version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return version if type(version) is int and version >= 0 else None
