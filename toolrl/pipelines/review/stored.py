"""A run folder as others read it: its settings, its prompts, its rollouts. Nothing in it is changed, and its run may still go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolrl.config.asking import EvaluateConfig
from toolrl.config.load import Config, load
from toolrl.config.schema import RlConfig
from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.prompts import StoredPrompts, read_prompts
from toolrl.monitor.rundir import CONFIG
from toolrl.pipelines.evaluating.stored import REPLIES, SCORES, SPLIT
from toolrl.types import Prompt


@dataclass(frozen=True)
class StoredRun:
    """A run with at least one complete file of rollouts; or an evaluation, which is read as a run that trained nothing."""

    path: Path
    config: RlConfig | EvaluateConfig
    prompts: StoredPrompts
    """Those it trains on."""
    rollouts: Path
    """The folder of the rollouts that are read: its own, or what an attempt of it has lost."""

    @property
    def versions(self) -> list[int]:
        """Versions whose rollouts are complete, in order."""
        return list(rollouts.files(self.rollouts))

    def prompt(self, prompt_id: str) -> Prompt:
        """Return the prompt of a row. Raises RunFolderError where the run has none of that name."""
        try:
            return self.prompts[prompt_id]
        except KeyError:
            raise RunFolderError(
                f"{self.path}: its rollouts name the prompt {prompt_id!r}, which its prompts.parquet has not; put the run's own file back"
            ) from None


def open_run(path: Path, attempt: int | None = None) -> StoredRun:
    """Open the run folder `path` for reading; with `attempt`, what lies in its discarded/ of that attempt.

    Raises RunFolderError where it is none, is damaged or has no rollouts.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path}: no such folder; give the run.dir of a `toolrl rl`")
    if not (path / CONFIG).is_file():
        raise RunFolderError(f"{path}: holds no run (no {CONFIG}); give the run.dir of a `toolrl rl`")
    folder = path / "rollouts" if attempt is None else rollouts.discarded_folder(path, attempt)
    if attempt is not None and not rollouts.files(folder):
        there = sorted(str(each.relative_to(path)) for each in (path / "discarded").glob("attempt-*") if rollouts.files(each))
        raise RunFolderError(f"{folder}: no rollouts there; {', '.join(there) or 'nothing of this run'} was discarded")
    if not rollouts.files(folder):
        raise RunFolderError(
            f"{path}: no rollouts yet; they are there once the first batch is trained, or every item is evaluated; `toolrl sft` has none"
        )
    if (path / REPLIES).is_file() or (path / SCORES).is_file():
        return StoredRun(path, _settings(EvaluateConfig, path / CONFIG), read_prompts(path / "prompts.parquet", SPLIT), folder)
    return StoredRun(path, _settings(RlConfig, path / CONFIG), read_prompts(path / "prompts.parquet"), folder)


def _settings(kind: type[Config], file: Path) -> Config:
    """Return the settings of a run. Raises RunFolderError where they are of another version of toolrl, or damaged."""
    try:
        return load(kind, [str(file)])
    except ConfigError as error:
        remedy = "put back the file that the run wrote"
        raise RunFolderError(f"{file}: not settings of this version of toolrl; {remedy}\n{error}") from error
