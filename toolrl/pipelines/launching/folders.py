"""Whether every node of a job will see a folder: what is known from this machine's table of mounts.

A folder in this machine's memory or among its temporary files is refused. One on a disk is only remarked on: the disk may be exported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

SHARED = re.compile(r"nfs|lustre|gpfs|beegfs|ceph|fuse|glusterfs|smb|cifs|9p|virtiofs|afs|weka|panfs|pvfs|orangefs|daos|vast")
"""File systems over a network, by the names that Linux mounts them under."""
_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run"))
_MOUNTS = Path("/proc/self/mounts")


def private_folders(folders: Mapping[str, Path], mounts: str | None = None) -> tuple[list[str], list[str]]:
    """Return for settings and their folders what is wrong, and what is only remarked on, each a line.

    Args:
        folders: A folder or file by the setting that names it.
        mounts: The table of mounts; None: that of this machine.
    """
    table = _MOUNTS.read_text() if mounts is None else mounts
    wrong, remarks = [], []
    for setting, folder in folders.items():
        path = folder.resolve()
        kind = file_system(path, table.splitlines())
        if kind in _MEMORY or any(path.is_relative_to(each) for each in _TEMPORARY):
            wrong.append(
                f"{setting}: got {folder}, which only this machine has ({kind}); name a folder on a file system that every node sees"
            )
        elif not SHARED.search(kind):
            remarks.append(f"{setting}: {folder} is on a disk of this machine ({kind}), as far as it knows; every node must see it there")
    return wrong, remarks


def file_system(path: Path, mounts: Iterable[str]) -> str:
    """Return the type of the file system that `path` is, or would be, on: that of the deepest mount above it."""
    deepest, kind = -1, "unknown"
    for line in mounts:
        _, where, what, *_ = line.split()
        mount = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), where))
        if path.is_relative_to(mount) and len(mount.parts) >= deepest:
            deepest, kind = len(mount.parts), what
    return kind
