"""Versions by their numbers, as a person writes them: `3,10-12`."""

from __future__ import annotations

import re

_PART = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")


def versions(text: str) -> tuple[range, ...]:
    """Return the versions that `text` names; nothing names none. Raises ValueError."""
    if not text.strip():
        return ()
    found = []
    for part in text.split(","):
        read = _PART.fullmatch(part)
        if read is None:
            raise ValueError(f"{part.strip()!r} is no number and no range like 10-12")
        first, last = int(read[1]), int(read[2] or read[1])
        if last < first:
            raise ValueError(f"{part.strip()!r} ends before it begins")
        found.append(range(first, last + 1))
    return tuple(found)
