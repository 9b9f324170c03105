"""A preset of cluster/nccl/: variables of NCCL and its kin for one kind of network, each under the reason for it."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from toolrl.errors import ConfigError

_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=([\w.^=,:/-]*)")
"""A variable as both a shell and a container's list of variables read it: no quotes, nothing to expand."""


def presets() -> dict[str, Path]:
    """Return the presets that ship with toolrl, by name."""
    return {path.stem: path for path in sorted(Path(str(resources.files("toolrl") / "_nccl")).glob("*.env"))}


def preset(name: str) -> Path:
    """Return the file of a shipped preset or of one's own. Raises ConfigError."""
    path = presets().get(name, Path(name))
    if not path.is_file():
        raise ConfigError(f"--network: got {name!r}; give one of {', '.join(presets())}, or a file with NAME=value lines")
    return path


def variables(path: Path) -> dict[str, str]:
    """Return the variables of a preset. Raises ConfigError with the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--network: {path} cannot be read ({error}); name another file") from error
    found = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            match = _LINE.fullmatch(line.rstrip())
            if match is None:
                raise ConfigError(f"--network: {path}:{number}: got {line!r}; write NAME=value, without quotes, or a comment after #")
            found[match[1]] = match[2]
    return found
