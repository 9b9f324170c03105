"""What a run that goes on will read of its own folder, looked at before anything is started or written.

    versions.json  left_out.json  metrics.jsonl  prompts.parquet  rollouts/*.parquet  summary.json ─ each opened ─> a message now,
                                                                                    and not at the end of a day's training

Of tables only the end of the file is read, which says what they hold.
"""

from __future__ import annotations

import os
from fcntl import LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.monitor import prompts, rollouts
from toolrl.monitor.jsonfile import read_if_there, read_object
from toolrl.monitor.lines import read_lines

VERSIONS = "versions.json"
"""What each attempt of a run ran on."""
LEFT_OUT = "left_out.json"
"""Draws that are not to be trained."""
SUMMARY = "summary.json"
"""What came of a run, written last."""
_REMEDY = "put back the file that the run wrote, or start anew in another run.dir"


def require_readable(path: Path) -> None:
    """Raise RunFolderError where a file of the run in `path` cannot be read, or one that must be there is gone."""
    attempts = read_attempts(path / VERSIONS)
    read_left_out(path / LEFT_OUT)
    lines = read_lines(path / "metrics.jsonl")
    files = rollouts.files(path / "rollouts")
    if not attempts and (lines or files):
        raise RunFolderError(f"{path / VERSIONS}: no such file, though the run has trained; {_REMEDY}")
    for file in files.values():
        with rollouts.KIND.open(file, rollouts.REQUIRED):
            pass
    read_summary(path / SUMMARY)
    stored = path / "prompts.parquet"
    if os.path.lexists(stored):  # one that is gone is written again
        with prompts.KIND.open(stored, prompts.SCHEMA.names):
            pass


def read_summary(path: Path) -> dict[str, Any] | None:
    """Return what came of a run; None where it has not ended. Raises RunFolderError."""
    return read_if_there(path, remedy="put back the file that the run wrote, or remove it to have it made again")


def read_attempts(path: Path) -> list[dict[str, Any]]:
    """Return the attempts of a run in order, none where it was never started. Raises RunFolderError."""
    if not os.path.lexists(path):
        return []
    attempts = read_object(path, remedy=_REMEDY).get("attempts")
    if not isinstance(attempts, list) or not all(isinstance(each, dict) for each in attempts):
        raise RunFolderError(f"{path}: expected a list of attempts; {_REMEDY}")
    return attempts


def read_left_out(path: Path) -> dict[int, str]:
    """Return the draws of a run that are not to be trained, each with the reason. Raises RunFolderError."""
    try:
        return {int(draw): str(why) for draw, why in (read_if_there(path, remedy=_REMEDY) or {}).items()}
    except ValueError as error:
        raise RunFolderError(f"{path}: not draws by number ({error}); {_REMEDY}") from error


def driver_of(lock: Path) -> str:
    """Return who holds the lock of a run's folder, an empty text where nobody does."""
    if not lock.exists():
        return ""
    with lock.open("rb") as file:
        try:
            flock(file, LOCK_SH | LOCK_NB)
        except BlockingIOError:
            return file.read().decode(errors="replace").strip() or "a driver"
    return ""
