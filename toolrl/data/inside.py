"""A folder that came from elsewhere is read no further than it reaches: no link and no name in one of its files leads out of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_SNAPSHOTS, _BLOBS = "snapshots", "blobs"
"""The hub's client keeps the files of a repository under their digests, beside folders of links to them."""


def is_inside(file: Path, folder: Path) -> bool:
    """Whether `file`, links followed, lies below `folder`, or where the hub's client keeps the files of that folder."""
    real, home = file.resolve(), folder.resolve()
    caches = (above.parent.parent / _BLOBS for above in (home, *home.parents) if above.parent.name == _SNAPSHOTS)
    return real.is_relative_to(home) or any(real.parent == cache for cache in caches)


def is_plain(name: object) -> bool:
    """Whether a name from a file is that of something below the file's own folder."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("..")
    return not path.is_absolute() and ".." not in path.parts and "\0" not in str(path)
