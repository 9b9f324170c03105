"""A folder of a run that trains or trained, as any version of toolrl wrote it: which command made it, with which settings.

run folder ─ config.yaml ─> (rl, {section.name: value})      or a message: it is none, or that of another command
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolrl.config.kinds import KINDS
from toolrl.config.load import settings
from toolrl.config.yamlfile import read_settings
from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor.rundir import CONFIG

TRAINING = ("rl", "sft")
_REMEDY = "give the run.dir of a `toolrl rl` or `toolrl sft`"


def trained(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the command that made the run in `path`, one of TRAINING, and its settings by `section.name`, as they are written.

    Raises RunFolderError where there is no such run.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}; {_REMEDY}")
    file = path / CONFIG
    if not file.is_file():
        raise RunFolderError(f"{path}: holds no run (no {CONFIG}); {_REMEDY}")
    try:
        written = read_settings(file)
    except ConfigError as error:
        raise RunFolderError(f"{file}: {error}; put back the file that the run wrote") from error
    return _command(file, written), written


def _command(file: Path, written: Mapping[str, Any]) -> str:
    """Return the command whose settings these are: of those that know most of them, the one with the fewest others."""
    known = {name: settings(kind).keys() for name, kind in KINDS.items()}
    found = max(known, key=lambda name: (len(written.keys() & known[name]), -len(known[name])))
    if not written.keys() & known[found]:
        raise RunFolderError(f"{file}: no settings of `toolrl rl` or `toolrl sft`; {_REMEDY}")
    if found not in TRAINING:
        remedy = f"{_REMEDY}; an evaluation is read by `toolrl explain`"
        raise RunFolderError(f"{file}: not that of a training run, but settings of `toolrl {found}`; {remedy}")
    return found
