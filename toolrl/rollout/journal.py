"""Replies on disk as they come: a line of JSON each, behind a line that says what they answer.

    {"asked": {…}}                                                                     who was asked what, and how
    {"id": "a", "sample": 0, "text": "…", "finish_reason": "stop", "prompt_tokens": 90, "completion_tokens": 31}

One process at a time writes. A crash can only tear the last line, which is asked again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import TracebackType
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.rollout.replies import Key, Reply

ASKED = "asked"

_BEGIN = f'{{"{ASKED}": '
_LINE = {"id": str, "sample": int, "text": str, "finish_reason": str, "prompt_tokens": int, "completion_tokens": int}
"""What a line holds."""
_LONGEST_WHY = 300
_SHOWN_CHARS = 60


class Journal(Mapping[Key, Reply]):
    """The replies of one file; implements `replies.Replies`. Use it as a context manager.

    Args:
        path: The file; made if it is not there.
        asked: What determines the replies, as JSON: model, template, sampling, … A journal of anything else is refused.

    Raises:
        RunFolderError: The file answers something else, is damaged, cannot be written, or another process writes it.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        self._path = path
        if os.path.lexists(path) and not path.is_file():  # a pipe would be waited for without end
            raise RunFolderError(f"{path}: not a file; remove it, or name another folder")
        try:
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror}); allow it, or name another folder") from error
        try:
            flock(self._file, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise RunFolderError(f"{path}: another process writes it; wait for it to end, or name another folder") from error
        try:
            self._replies = self._read(json.loads(json.dumps(asked)))
        except BaseException:
            self._file.close()
            raise

    def add(self, key: Key, reply: Reply) -> None:
        """Keep a reply."""
        if key in self._replies:
            raise ValueError(f"{key} is answered already")
        self._append({"id": key[0], "sample": key[1], **asdict(reply)})
        self._replies[key] = reply

    def close(self) -> None:
        """See everything onto the disk, and let another process have the file."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __getitem__(self, key: Key) -> Reply:
        return self._replies[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._replies)

    def __len__(self) -> int:
        return len(self._replies)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _append(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()  # with the kernel now: a killed process loses nothing

    def _read(self, asked: Any) -> dict[Key, Reply]:
        self._file.seek(0)
        try:
            text = self._file.read()
            whole = text[: text.rfind("\n") + 1]
            if not whole and not text.startswith(_BEGIN[: len(text)]):
                raise ValueError(text[:40])
            head, *lines = whole.splitlines() or [""]
            was = json.loads(head)[ASKED] if head else asked
            found = dict(_kept(json.loads(line)) for line in lines)
            differing = sorted(key for key in asked.keys() | was.keys() if asked.get(key) != was.get(key))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            why = f"{type(error).__name__}: {error}"[:_LONGEST_WHY]
            raise RunFolderError(f"{self._path}: not a journal of replies ({why}); remove it, or name another folder") from error
        if differing:
            told = "; ".join(f"{key}: {_difference(was.get(key), asked.get(key))}" for key in differing)
            raise RunFolderError(f"{self._path}: holds replies to something else ({told}); ask the same to go on, or name another folder")
        if len(whole) < len(text):
            self._file.truncate(len(whole.encode()))
        if not head:
            self._append({ASKED: asked})
        return found


def _kept(line: Any) -> tuple[Key, Reply]:
    """Return what a line holds. Raises KeyError, TypeError or ValueError where no journal wrote it."""
    if wrong := [key for key, kind in _LINE.items() if type(line[key]) is not kind] or sorted(line.keys() - _LINE.keys()):
        raise ValueError(f"a line with another {wrong[0]}: {str(line)[:_SHOWN_CHARS]}")
    return (line["id"], line["sample"]), Reply(**{key: line[key] for key in _LINE if key not in ("id", "sample")})


def asked_in(path: Path) -> dict[str, Any]:
    """Return what the journal at `path` answers, without taking it; empty where there is none that can be read."""
    try:
        if not path.is_file():
            return {}
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.readline())[ASKED]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # opening the journal says what is wrong with it
        return {}
    return found if isinstance(found, dict) else {}


def _difference(was: Any, now: Any) -> str:
    """Say how two values differ; of long texts, where.

    >>> _difference(0.7, 1.0), _difference("a" * 99 + "b", "a" * 99 + "c")
    ('it has 0.7, asked is 1.0', "it has '…aaaaaaaab', asked is '…aaaaaaaac'")
    """
    if isinstance(was, str) and isinstance(now, str) and max(len(was), len(now)) > _SHOWN_CHARS:
        parting = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
        start = max(parting - 8, 0)
        was, now = (("…" if start else "") + text[start:][:_SHOWN_CHARS] for text in (was, now))
    return f"it has {was!r}, asked is {now!r}"
