"""What a path names that may be a model or a run: the folder with the weights.

    demo://start, a model folder ─> itself          RUN ─> RUN/final, or with `best` RUN/checkpoints/best

Every other path is answered with what is there instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.checkpoint.store import BEST, MARK, PREFIX
from toolrl.errors import UserError
from toolrl.monitor.rundir import CONFIG
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.store import FINAL

CHECKPOINTS = "checkpoints"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_SHOWN = 4


@dataclass(frozen=True)
class FoundModel:
    """A model folder, and the run that made it."""

    folder: Path
    run: Path | None
    """None: it stands by itself."""
    config: dict[str, Any]
    """Its config.json."""

    @property
    def name(self) -> str:
        """A short name: the folder's, or that of the run."""
        return (self.run or self.folder).name


def find_model(path: str, *, best: bool = False) -> FoundModel:
    """Return the model that `path` names; of a run the final one, or the best. Raises UserError."""
    folder = Path(resolve_model(path)).expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise UserError(f"{path}: {what}; name the folder of a model or of a run, or demo://start")
    folder = folder.resolve()
    if is_run(folder):
        wanted = folder / CHECKPOINTS / BEST if best else folder / FINAL
        if not _is_model(wanted):
            raise UserError(f"{path}: {_instead(folder, best=best)}")
        return _read(wanted, folder)
    if best:
        raise UserError(f"{path}: is no run, so none of its models is the best; leave --best out, or name the folder of a run")
    if _is_model(folder):
        return _read(folder, _run_of(folder))
    raise UserError(f"{path}: {_no_model(folder)}")


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / CONFIG).is_file()


def _run_of(folder: Path) -> Path | None:
    """Return the run whose final or best model a folder is."""
    above = folder.parent if folder.name == FINAL else folder.parent.parent if folder.name == BEST else None
    return above if above is not None and is_run(above) else None


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in _WEIGHTS)


def _read(folder: Path, run: Path | None) -> FoundModel:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{folder}: config.json is no JSON ({error}); put the model's own back") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise UserError(f"{folder}: config.json names no model_type, so it is no model that can be loaded; put the model's own back")
    return FoundModel(folder, run, config)


def _instead(run: Path, *, best: bool) -> str:
    """Say what a run holds that lacks the wanted model."""
    checkpoints = run / CHECKPOINTS
    versions = sorted(int(path.name.removeprefix(PREFIX)) for path in checkpoints.glob(f"{PREFIX}*") if (path / MARK).is_file())
    there = f"its newest checkpoint is of version {versions[-1]}" if versions else "it has no checkpoint"
    if best:
        other = f"there is {run / FINAL}" if _is_model(run / FINAL) else there
        return f"the run keeps no best model ({other}); leave --best out, or train with checkpoint.best=true and data.heldout"
    if _is_model(checkpoints / BEST):
        there += f", and its best model so far is {checkpoints / BEST}"
    return f"the run has not ended, so it has no {FINAL} model; {there}. End it with the command that began it, or name another folder"


def _no_model(folder: Path) -> str:
    """Say what a folder holds that is no model."""
    if folder.name.startswith(PREFIX) and (folder / MARK).is_file():
        version = int(folder.name.removeprefix(PREFIX))
        run = folder.parent.parent
        return f"a checkpoint to resume from, in the shards of its ranks; make a model of it with `toolrl export {run} --version {version}`"
    names = sorted(entry.name for entry in folder.iterdir())
    held = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    missing = "weights (*.safetensors)" if (folder / "config.json").is_file() else "config.json"
    return f"is no model: it lacks {missing} and holds {held or 'nothing'}; name the folder of a model or of a run"
