"""Small files of JSON that a command of ours wrote, read back: an object, or one message with the file and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError, ToolRLError


def read_object(
    path: Path, *, remedy: str = "put back the file that the run wrote", error: type[ToolRLError] = RunFolderError
) -> dict[str, Any]:
    """Return the object in a file. Raises `error` where it holds none."""
    if not path.is_file():  # a pipe would be waited for without end
        raise error(f"{path}: no such file; {remedy}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror}); {remedy}") from reason
    except ValueError as reason:
        raise error(f"{path}: not readable as JSON ({reason}); {remedy}") from reason
    except RecursionError as reason:
        raise error(f"{path}: not readable as JSON (nested too deep); {remedy}") from reason
    if not isinstance(found, dict):
        raise error(f"{path}: expected an object, got a {type(found).__name__}; {remedy}")
    return found
