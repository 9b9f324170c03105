"""A folder that is there whole or not at all: written aside, renamed when it is complete.

    .out.partial ─ written, synced ─> (out ─> .out.replaced) ─> out ─> .out.replaced removed

Killed at any moment, there is the old folder or the new one, if need be under the name `.out.replaced`; the next run over the same
name sets that right and clears the rest away. While one run lives, which its lock tells, another over the same name is refused.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from toolrl.errors import UserError
from toolrl.monitor.durable import sync


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into; it becomes `out` when all went well, and is removed when not. Raises UserError."""
    aside, replaced = (out.with_name(f".{out.name}.{what}") for what in ("partial", "replaced"))
    made = [parent for parent in out.parents if not parent.exists()]
    try:
        if aside.exists():
            os.close(_locked(aside))
        _clear(out, aside, replaced)  # what a killed run left
        aside.mkdir(parents=True)
        lock = _locked(aside)
    except BlockingIOError as error:
        raise UserError(f"{out}: another run is writing it; wait for it, or name another folder") from error
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        yield aside
        sync(aside)
        if out.exists():
            out.rename(replaced)
        aside.rename(out)
        sync(out.parent)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        _clear(out, aside, replaced)
        os.close(lock)
        if not out.exists():
            for parent in made:
                if parent.exists() and not any(parent.iterdir()):
                    parent.rmdir()


def restore(out: Path) -> None:
    """Bring a former folder back that a killed run had moved aside."""
    replaced = out.with_name(f".{out.name}.replaced")
    if replaced.exists() and not out.exists():
        replaced.rename(out)


def write_text(path: Path, text: str) -> None:
    """Write a file and see it onto the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _unwritable(out: Path, error: OSError) -> UserError:
    why = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or str(error)
    return UserError(f"{out}: cannot be written ({why}); make room there, or name a folder that can be")


def _locked(folder: Path) -> int:
    """Return a descriptor that keeps the folder for this process until it is closed. Raises BlockingIOError where another has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _clear(out: Path, aside: Path, replaced: Path) -> None:
    """Remove what lies beside `out`; the former folder comes back if the new one did not take its place."""
    restore(out)
    for folder in (aside, replaced):
        if folder.exists():
            shutil.rmtree(folder)
