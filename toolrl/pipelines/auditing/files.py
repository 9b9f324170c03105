"""The folder of a run as an audit finds it, at one moment.

summary.json, then checkpoints, then metrics.jsonl, then rollouts/: the order in which a driver is never ahead of what was looked at
before, so that a run in progress is seen as it would be had it been killed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.checkpoint.store import BEST, MARK, PREFIX, STATE, CheckpointStore
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import CheckpointError, RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.readable import SUMMARY, VERSIONS, driver_of, read_summary
from toolrl.monitor.rundir import CONFIG, LOCK
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.lines import MetricLines
from toolrl.pipelines.supervised.batches import DIGEST


@dataclass(frozen=True)
class Saved:
    """A checkpoint that has its mark."""

    path: Path
    version: int
    """By its name; of the best one by its state."""
    state: Mapping[str, Any]

    def is_there(self) -> bool:
        """Whether it still is: a driver removes the oldest, and replaces the best."""
        try:
            return (self.path / MARK).exists() and bool(json.loads((self.path / STATE).read_text(encoding="utf-8")) == self.state)
        except (OSError, ValueError, RecursionError):
            return (self.path / MARK).exists()

    def damage(self) -> str:
        """Read all of it, and return how it differs from what was written, an empty text where it does not."""
        try:
            CheckpointStore(self.path.parent, keep=1).verify(self.path)  # only reads
        except (CheckpointError, OSError, ValueError, TypeError) as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class RunFiles:
    """What there is."""

    path: Path
    config: RlConfig
    driver: str
    """Who has the folder now; empty: nobody."""
    saved: tuple[Saved, ...]
    """Whole checkpoints, the oldest first."""
    best: Saved | None
    unmarked: tuple[str, ...]
    """Checkpoints that are not complete."""
    lines: MetricLines
    rollouts: Mapping[int, Path]
    summary: Mapping[str, Any] | None
    """None: the run has not ended."""

    def newest(self, reach: int) -> int:
        """Return the version that a resume would go on from, 0 where it would start anew; what lies beyond `reach` is read whole."""
        fit = (saved.version for saved in reversed(self.saved) if saved.version <= reach or not saved.damage())
        return next(fit, 0)


def is_run(name: str) -> bool:
    """Whether a name is the folder of a run, and not of data."""
    path = Path(name)
    return (path / VERSIONS).is_file() or (path / "rollouts").is_dir()


def look(path: Path, findings: Findings) -> RunFiles:
    """Look at a run folder. Raises RunFolderError where it is none of `toolrl rl`, or ConfigError."""
    if not (path / CONFIG).is_file() or not (path / VERSIONS).is_file():
        missing = next(name for name in (CONFIG, VERSIONS) if not (path / name).is_file())
        raise RunFolderError(f"{path}: holds no run of `toolrl rl` (no {missing}); give the run.dir of one")
    if (path / DIGEST).exists():
        raise RunFolderError(f"{path}: a run of `toolrl sft`, which draws nothing to account for; give the run.dir of a `toolrl rl`")
    config = load(RlConfig, [str(path / CONFIG)])
    driver, summary = driver_of(path / LOCK), read_summary(path / SUMMARY)
    folders = sorted((path / "checkpoints").glob(f"{PREFIX}*"))
    saved = [found for folder in folders if (found := _saved(folder, findings)) is not None]
    best = _saved(path / "checkpoints" / BEST, findings)
    lines = MetricLines(path / "metrics.jsonl", findings)
    files = rollouts.files(path / "rollouts")
    if driver:
        files = {version: file for version, file in files.items() if version <= lines.newest + 1}
    unmarked = tuple(folder.name for folder in folders if not (folder / MARK).exists())
    return RunFiles(path, config, driver, tuple(saved), best, unmarked, lines, files, summary)


def _saved(folder: Path, findings: Findings) -> Saved | None:
    """Read the state of a checkpoint, if it is complete; one that a driver removes meanwhile is not."""
    if not (folder / MARK).exists():
        return None
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        version = state["version"] if folder.name == BEST else int(folder.name.removeprefix(PREFIX))
        if type(version) is not int or not isinstance(state, dict):
            raise ValueError(f"its version is {version!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if (folder / MARK).exists():
            findings.problem("checkpoint", f"checkpoints/{folder.name}: no readable {STATE} ({error!r})")
        return None
    return Saved(folder, version, state)
