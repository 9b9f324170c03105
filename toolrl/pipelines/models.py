"""What a path names that may be a model or a run: the folder with the weights.

    demo://start, a model folder, a name of the hub ─> itself          RUN ─> RUN/final, or the best: RUN/checkpoints/best

Every other path is answered with what is there instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from toolrl.checkpoint.store import BEST, MARK, PREFIX
from toolrl.data.hub import hub_answers
from toolrl.errors import UserError
from toolrl.monitor.jsonfile import read_object
from toolrl.monitor.rundir import CHECKPOINTS, CONFIG
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.store import FINAL

VERSIONS = "versions.json"
"""What a run writes first, and only a run."""
SUMMARY = "summary.json"
"""What a run writes last: one that has it has ended."""
WANTED = "name the folder of a model or of a run, a model of the Hugging Face hub, or demo://start"
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_SHOWN = 4


@dataclass(frozen=True)
class FoundModel:
    """A model folder, and the run that made it."""

    name: str
    """A short name: that of the run, of the hub, or of the folder."""
    folder: Path
    run: Path | None
    """None: it stands by itself."""
    config: dict[str, Any]
    """Its config.json."""


def find_model(path: str, *, best: bool = False) -> FoundModel:
    """Return the model that `path` names; of a run the final one, or the best. Raises UserError."""
    folder = Path(resolve_model(path)).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{path}: is a file; {WANTED}")
        return _from_hub(path)
    folder = folder.resolve()
    if is_run(folder):
        wanted = folder / CHECKPOINTS / BEST if best else folder / FINAL
        if not _is_model(wanted) or not (best or (folder / SUMMARY).is_file()):  # one that is gone on with has its former end still
            raise UserError(f"{path}: {_instead(folder, best=best)}")
        return FoundModel(folder.name, wanted, folder, _config(wanted))
    if best:
        raise UserError(f"{path}: is no run, so none of its models is the best; leave --best out, or name the folder of a run")
    if not _is_model(folder):
        raise UserError(f"{path}: {_no_model(folder)}")
    run = run_of(folder)
    return FoundModel((run or folder).name, folder, run, _config(folder))


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run that trains."""
    return (folder / CONFIG).is_file() and (folder / VERSIONS).is_file()


def versions_of(run: Path) -> list[int]:
    """Return the versions that a run has whole checkpoints of, the newest last."""
    found = (path.name.removeprefix(PREFIX) for path in (run / CHECKPOINTS).glob(f"{PREFIX}*") if (path / MARK).is_file())
    return sorted(int(version) for version in found if version.isdecimal())


def _from_hub(name: str) -> FoundModel:
    """Return a model of the hub, from the cache or downloaded."""
    if not _HUB_NAME.fullmatch(name):
        raise UserError(f"{name}: no such folder; {WANTED}")
    try:
        folder = Path(snapshot_download(name, local_files_only=True))
        if not _is_model(folder):  # its tokenizer alone may be there
            raise FileNotFoundError(folder)
    except (OSError, ValueError) as missing:
        if not hub_answers():
            raise UserError(
                f"{name}: no such folder, and no such model in the cache of the hub, which does not answer; {WANTED}"
            ) from missing
        try:
            folder = Path(snapshot_download(name))
        except (OSError, ValueError) as error:
            raise UserError(f"{name}: no such folder, and no model that the hub gives ({error}); {WANTED}") from error
    if not _is_model(folder):
        raise UserError(f"{name}: {_no_model(folder)}")
    return FoundModel(name.rpartition("/")[2], folder, None, _config(folder))


def run_of(folder: Path) -> Path | None:
    """Return the run whose final or best model a folder is."""
    above = folder.parent if folder.name == FINAL else folder.parent.parent if folder.name == BEST else None
    return above if above is not None and is_run(above) else None


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in _WEIGHTS)


def _config(folder: Path) -> dict[str, Any]:
    config = read_object(folder / "config.json", remedy="put the model's own back", error=UserError)
    if "model_type" not in config:
        raise UserError(f"{folder}: config.json names no model_type, so it is no model that can be loaded; put the model's own back")
    return config


def _instead(run: Path, *, best: bool) -> str:
    """Say what a run holds that lacks the wanted model."""
    versions = versions_of(run)
    there = f"its newest checkpoint is of version {versions[-1]}" if versions else "it has no checkpoint"
    if best:
        other = f"there is {run / FINAL}" if _is_model(run / FINAL) else there
        return f"the run keeps no best model ({other}); leave --best out, or train with checkpoint.best=true and held-out prompts"
    if _is_model(run / CHECKPOINTS / BEST):
        there += f", and its best model so far is {run / CHECKPOINTS / BEST}"
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
    return f"is no model: it lacks {missing} and holds {held or 'nothing'}; {WANTED}"
