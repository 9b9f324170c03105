"""metrics.jsonl read as it grows, also over a network file system: each line once, however often it is looked at.

    poll ─> is what was read still there? ─ yes ─> the lines behind it
                                          └ no: a rewind replaced the file ─> `replaced`, and every line anew

What was read is known by its last bytes, which hold the time of its last line. Nothing but the numbers of where it ended is kept.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from toolrl.errors import RunFolderError
from toolrl.monitor.lines import Line, parse_line, require_begun

CHUNK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 16 << 20
ANCHOR_BYTES = 512
"""Bytes before the end of what was read that must be the same for the rest to be what follows."""


class MetricsFollower:
    """The lines of one metrics file.

    Args:
        path: metrics.jsonl; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def poll(self) -> tuple[bool, Iterator[Line]]:
        """Return whether the file was replaced since the last poll, and the lines that are new: after a replacement all of them.

        A last line that is torn or not yet there in full is left for later. The iterator raises RunFolderError where a line is none of
        metrics; what it has not yielded comes again.
        """
        try:
            file = self._path.open("rb") if self._path.is_file() or not os.path.lexists(self._path) else None
        except FileNotFoundError:
            replaced = self._offset > 0
            self._forget()
            return replaced, iter(())
        except OSError as error:
            if error.errno == errno.ESTALE:  # over NFS: replaced at this moment
                return False, iter(())
            raise RunFolderError(f"{self._path}: cannot be read ({error.strerror}); allow it") from error
        if file is None:  # a pipe would be waited for without end
            raise RunFolderError(f"{self._path}: not a file; put back the file that the run wrote")
        replaced = not self._continues(file)
        if replaced:
            self._forget()
        return replaced, self._lines(file)

    def _forget(self) -> None:
        self._offset, self._number, self._anchor = 0, 0, b""

    def _continues(self, file: BinaryIO) -> bool:
        return os.pread(file.fileno(), len(self._anchor), self._offset - len(self._anchor)) == self._anchor

    def _lines(self, file: BinaryIO) -> Iterator[Line]:
        with file:
            file.seek(self._offset)
            torn = b""
            while chunk := file.read(CHUNK_BYTES):
                *whole, torn = (torn + chunk).split(b"\n")
                for text in whole:
                    if b"\0" in text:  # the size of the file is known here, its content is not yet
                        return
                    line = parse_line(text.decode("utf-8", "replace"), self._place())
                    self._offset, self._number = self._offset + len(text) + 1, self._number + 1
                    self._anchor = (text + b"\n")[-ANCHOR_BYTES:]
                    yield line
                if len(torn) > LONGEST_LINE_BYTES:
                    raise RunFolderError(f"{self._place()}: longer than {LONGEST_LINE_BYTES:,} bytes; put back the file that the run wrote")
            require_begun(torn.decode("utf-8", "replace"), self._place())

    def _place(self) -> str:
        return f"{self._path}, line {self._number + 1}"
