"""A run folder as others read it: its settings, its prompts, its rollouts. Nothing in it is changed, and its run may still go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolrl.config.asking import EvaluateConfig
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import RunFolderError
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

    @property
    def rollouts(self) -> Path:
        """The folder of its rollouts."""
        return self.path / "rollouts"

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


def open_run(path: Path) -> StoredRun:
    """Open the run folder `path` for reading. Raises RunFolderError where it is none or has no rollouts yet, or ConfigError."""
    if not path.is_dir():
        raise RunFolderError(f"{path}: no such folder; give the run.dir of a `toolrl rl`")
    if not (path / CONFIG).is_file():
        raise RunFolderError(f"{path}: holds no run (no {CONFIG}); give the run.dir of a `toolrl rl`")
    if not rollouts.files(path / "rollouts"):
        raise RunFolderError(
            f"{path}: no rollouts yet; they are there once the first batch is trained, or every item is evaluated; `toolrl sft` has none"
        )
    if (path / REPLIES).is_file() or (path / SCORES).is_file():
        return StoredRun(path, load(EvaluateConfig, [str(path / CONFIG)]), read_prompts(path / "prompts.parquet", SPLIT))
    return StoredRun(path, load(RlConfig, [str(path / CONFIG)]), read_prompts(path / "prompts.parquet"))
