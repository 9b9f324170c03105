"""A run as its page tells of it: settings, metrics, attempts, how it ended, and what of it was discarded.

    run folder ─> Record      of `toolrl rl` and `toolrl sft`, ended, stopped or in progress

Reads only. Settings are taken as they are written, so that a run of an earlier version can still be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.lines import Line, read_lines
from toolrl.monitor.prompts import StoredPrompts, read_prompts
from toolrl.monitor.readable import SUMMARY, VERSIONS, driver_of, read_attempts, read_summary
from toolrl.monitor.rundir import LOCK
from toolrl.monitor.trained import trained

_ATTEMPT = re.compile(r"attempt-(\d{1,9})")


@dataclass(frozen=True)
class Discarded:
    """What a rewind took out of a run: it is on disk, and in no figure of the page."""

    attempt: int
    """After which it was taken out."""
    versions: tuple[int, ...]
    completions: int


@dataclass(frozen=True)
class Record:
    """A run."""

    path: Path
    name: str
    """Its folder's name, longer where other runs of the page have the same."""
    command: str
    """`rl` or `sft`."""
    settings: Mapping[str, Any]
    """By `section.name`, as written."""
    lines: Sequence[Line]
    """Metrics by version, of the surviving lineage."""
    attempts: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any] | None
    """None: it has not ended."""
    driver: str
    """Who trains it now; empty: nobody."""
    discarded: tuple[Discarded, ...]
    prompts: StoredPrompts | None
    """None: it has no rollouts."""

    @property
    def rollouts(self) -> Path:
        """The folder of its rollouts, which need not be there."""
        return self.path / "rollouts"

    @property
    def version(self) -> int:
        """The newest version with metrics; 0 before the first."""
        return max((line["version"] for line in self.lines), default=0)

    @property
    def state(self) -> str:
        """How it stands, in words."""
        wanted = self.settings.get("run.steps")
        of = f" of {wanted}" if isinstance(wanted, int) and wanted else ""
        if self.driver:
            return f"in progress, version {self.version}{of}"
        return f"ended, version {self.version}" if self.summary is not None else f"stopped at version {self.version}{of}"


def read_records(paths: Sequence[Path]) -> list[Record]:
    """Return the runs in these folders. Raises RunFolderError where one is none, or is damaged; ConfigError where one is named twice."""
    resolved = [path.resolve() for path in paths]
    if twice := [str(path) for path, real in zip(paths, resolved, strict=True) if resolved.count(real) > 1]:
        raise ConfigError(f"{twice[-1]}: named twice; give each run once")
    return [_read(path, name) for path, name in zip(paths, _names(resolved), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return names that differ, as short as they can be.

    >>> _names([Path("/a/one/run"), Path("/a/two/run"), Path("/b/last")])
    ['one/run', 'two/run', 'last']
    """
    named = []
    for path in paths:
        depth = 1
        while depth < len(path.parts) and any(path != other and path.parts[-depth:] == other.parts[-depth:] for other in paths):
            depth += 1
        named.append("/".join(path.parts[-depth:]))
    return named


def _read(path: Path, name: str) -> Record:
    command, written = trained(path)
    driver = driver_of(path / LOCK)
    summary = read_summary(path / SUMMARY)
    files = rollouts.files(path / "rollouts")
    lines = read_lines(path / "metrics.jsonl")
    if not lines and not files:
        raise RunFolderError(f"{path}: nothing to show yet; there is once the run has measured its start (no line in metrics.jsonl)")
    return Record(
        path=path,
        name=name,
        command=command,
        settings=written,
        lines=lines,
        attempts=read_attempts(path / VERSIONS),
        summary=summary,
        driver=driver,
        discarded=_discarded(path / "discarded"),
        prompts=read_prompts(path / "prompts.parquet") if files else None,
    )


def _discarded(folder: Path) -> tuple[Discarded, ...]:
    found = []
    for attempt, path in sorted((int(name[1]), path) for path in folder.glob("attempt-*") if (name := _ATTEMPT.fullmatch(path.name))):
        versions = {line["version"] for line in read_lines(path / "metrics.jsonl") if line["version"] > 0}
        completions = 0
        for version, file in rollouts.files(path).items():
            versions.add(version)
            with rollouts.KIND.open(file, ["draw"]) as opened:
                completions += opened.metadata.num_rows
        found.append(Discarded(attempt, tuple(sorted(versions)), completions))
    return tuple(found)
