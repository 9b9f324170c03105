"""Small files of JSON that a command of ours wrote, read back: an object, or one message with the file and what to do."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError, ToolRLError

_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def read_object(
    path: Path, *, remedy: str = "put back the file that the run wrote", error: type[ToolRLError] = RunFolderError
) -> dict[str, Any]:
    """Return the object in a file. Raises `error` where it holds none."""
    if not path.is_file():  # a pipe would be waited for without end
        raise error(f"{path}: {'not a file' if os.path.lexists(path) else 'no such file'}; {remedy}")
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)
        if _HALF_A_PAIR.search(text):  # of UTF-16: as text it can be written nowhere
            json.dumps(found, ensure_ascii=False).encode()
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror}); {remedy}") from reason
    except ValueError as reason:
        raise error(f"{path}: not readable as JSON ({reason}); {remedy}") from reason
    except RecursionError as reason:
        raise error(f"{path}: not readable as JSON (nested too deep); {remedy}") from reason
    if not isinstance(found, dict):
        raise error(f"{path}: expected an object, got a {type(found).__name__}; {remedy}")
    return found


def read_if_there(
    path: Path, *, remedy: str = "put back the file that the run wrote, or remove it", error: type[ToolRLError] = RunFolderError
) -> dict[str, Any] | None:
    """Return the object in a file, None where nothing has that name. Raises `error` where it is there and holds none."""
    return read_object(path, remedy=remedy, error=error) if os.path.lexists(path) else None
