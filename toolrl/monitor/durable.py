"""Files that exist only once they are complete: written aside, synced, renamed, and the name synced too."""

from __future__ import annotations

import os
from pathlib import Path


def aside_of(path: Path) -> Path:
    """Return where to write what will become `path`: beside it, so that a rename suffices."""
    return path.with_name(f".{path.name}.tmp")


def publish(path: Path) -> None:
    """Turn the closed `aside_of(path)` into `path`: after a crash there is the whole new file, or what was there before."""
    aside = aside_of(path)
    sync(aside)
    aside.rename(path)
    sync(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Write `text` as the new content of `path`."""
    aside_of(path).write_text(text, encoding="utf-8")
    publish(path)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
