"""Files of a checkpoint, sealed: on the disk, and told by size and digest.

Whoever wrote a file seals it, on its own node and while it is still in memory there: a sync from another node of a shared file system says
nothing about what this one has yet to send, and one process would read for minutes what all ranks wrote in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from toolrl.monitor.durable import sync

Seals = dict[str, list[int | str]]
"""Path in the folder -> size in bytes, digest."""
THREADS = 8


def seal(folder: Path, files: Iterable[Path]) -> Seals:
    """Bring files of `folder` to the disk, and return what they are. Raises OSError."""
    paths = list(files)
    with ThreadPoolExecutor(THREADS) as pool:  # syncing and hashing release the interpreter lock
        list(pool.map(sync, paths))
    return digests(folder, paths)


def files_below(folder: Path) -> list[Path]:
    """Return every file of a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def sync_folders(folder: Path) -> None:
    """Bring the names in a folder and in those below it to the disk. Raises OSError."""
    for path in (*(each for each in folder.rglob("*") if each.is_dir()), folder):
        sync(path)


def digests(folder: Path, files: Iterable[Path]) -> Seals:
    """Return what files of `folder` are now. Raises OSError."""
    paths = sorted(files)
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip((str(path.relative_to(folder)) for path in paths), pool.map(_digest, paths), strict=True))


def _digest(path: Path) -> list[int | str]:
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "blake2b").hexdigest()[:32]]
