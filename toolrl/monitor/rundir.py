"""The folder of a run: one configuration, one driver at a time, and only what belongs to the surviving lineage.

    config.yaml       the resolved settings                  rollouts/      a file for each version; of `toolrl rl`
    prompt.template   the system message                     (kept: a resumed run has the same)
    started_from.json digests of its rows and model          (kept)
    versions.json     what each attempt ran on               checkpoints/   see `checkpoint`
    left_out.json     draws that could not be trained, if any
    metrics.jsonl     a line for each version                discarded/     what a rewind took out, by the attempt that wrote it
    prompts.parquet   each prompt once; of `toolrl rl`       summary.json, curves.png; status.json: what it does now (`status`)

A supervised run has a version for each optimizer step, and keeps a digest of its demonstrations.

    check ─> (nothing written yet) ─> open: lock, config, versions ─> rewind(version) ─> … ─> close

A folder that was made for a run which never started is removed again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from omegaconf import OmegaConf

from toolrl.config.kinds import KINDS
from toolrl.config.load import settings, to_yaml
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.config.yamlfile import read_settings
from toolrl.errors import ConfigError, RunFolderError, UserError
from toolrl.monitor import environment, rollouts
from toolrl.monitor.durable import aside_of, replace_text
from toolrl.monitor.jsonfile import read_object
from toolrl.monitor.lines import read_lines, write_lines
from toolrl.monitor.readable import LEFT_OUT, VERSIONS, read_attempts, read_left_out, require_readable
from toolrl.types import WeightVersion

MAY_CHANGE = (
    "run.on_divergence", "run.max_rewinds", "learner.max_grad_norm",
    "run.dir", "run.steps", "loop.epochs", "monitor.*", "eval.every", "eval.prompts", "eval.temperature", "checkpoint.*", "cluster.*",
    "weights.*", "engine.*", "*.threads", "*timeout_s", "reward.workers", "reward.cpus_per_worker", "reward.groups_per_call",
    "reward.deadline_s", "reward.memory_gib", "reward.quarantine_after", "reward.audit_rows",
    "loop.max_staleness", "loop.max_dull_in_row", "model.gradient_checkpointing",
    "model.attention", "model.liger", "learner.cpus_per_rank", "learner.max_tokens_per_microbatch", "learner.share_prompts",
    "learner.offload_*", "learner.persistent_elements", "learner.prefetch_elements", "learner.num_ranks", "learner.sequence_parallel",
    "learner.hpz_ranks",
)  # fmt: skip
"""Settings that a resumed run may change: how long, how fast, where, and what is watched. What is learned, from what, stays."""
CONFIG = "config.yaml"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"


class RunFolder:
    """An open run folder. `with` closes it, and removes it again where a user's mistake ended the run before it began.

    Args:
        path: The folder.
        config: The resolved settings.
        keeps: Files that the run was started with, by name; nothing is written where a resumed run has others.
        ready: Called once no other driver can have the folder, and before anything is written; what it raises ends it there.

    Raises:
        RunFolderError: It holds a run of another configuration, something else, or another driver, or is damaged.
    """

    def __init__(
        self,
        path: Path,
        config: RlConfig | SftConfig,
        keeps: Mapping[str, str] | None = None,
        ready: Callable[[], object] = lambda: None,
    ) -> None:
        changed = check(path, config)
        if path.exists():
            require_readable(path)
        for name, text in (keeps or {}).items():
            _require_same(path / name, text)
        self.path = path
        self._made = _make_folders(path)
        self._lock = _lock(path)
        try:
            ready()
        except BaseException:
            self.close()
            raise
        if resumed := (path / CONFIG).exists():  # what changed is recorded before it is in force: a crash in between does no harm then
            attempt = self._record_attempt(changed)
        replace_text(path / CONFIG, to_yaml(config))
        for name, text in (keeps or {}).items():
            self.keep(name, text)
        self.attempt = attempt if resumed else self._record_attempt(changed)
        """1 for the first start of the run, counting up."""

    @property
    def metrics(self) -> Path:
        """One line of JSON for each version."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """One Parquet file for each version."""
        return self.path / "rollouts"

    @property
    def prompts(self) -> Path:
        """Each prompt once."""
        return self.path / "prompts.parquet"

    @property
    def checkpoints(self) -> Path:
        """Complete checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def summary(self) -> Path:
        """What came of the run."""
        return self.path / "summary.json"

    @property
    def lost(self) -> Path:
        """Where what the attempt before this one made beyond its newest checkpoint is moved to."""
        return rollouts.discarded_folder(self.path, self.attempt - 1)

    def rewind(self, version: WeightVersion) -> Path | None:
        """Move rollouts and metric lines beyond checkpoint `version` to `discarded/`; returns where to, None where there were none.

        At version 0 the run starts anew and measures the start again, so that line goes too.
        """
        target = self.lost
        lines = read_lines(self.metrics)
        kept = [line for line in lines if 0 < version >= line["version"]]
        for unfinished in self.rollouts.glob(".*.tmp"):  # of an attempt that was killed: no one writes it any more
            unfinished.unlink()
        stale = [path for made, path in rollouts.files(self.rollouts).items() if made > version]
        if len(kept) == len(lines) and not stale:
            return None
        target.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.rename(target / path.name)
        if len(kept) < len(lines):
            write_lines(target / self.metrics.name, lines[len(kept) :])
            write_lines(self.metrics, kept)
        return target

    def begin_attempt(self, why: str) -> None:
        """Count another attempt of this driver's own, after a failure that it recovers from."""
        self.attempt = self._record_attempt({}, why)

    def leave_out(self, draws: Sequence[int], why: str) -> None:
        """Remember draws that are not to be trained when they come again, in this or a later attempt."""
        known = self.left_out() | dict.fromkeys(draws, why)
        replace_text(self.path / LEFT_OUT, json.dumps({str(draw): text for draw, text in known.items()}, indent=1))

    def left_out(self) -> dict[int, str]:
        """Return the draws that are not to be trained, each with the reason. Raises RunFolderError."""
        return read_left_out(self.path / LEFT_OUT)

    def keep(self, name: str, text: str) -> None:
        """Write a file that the run was started with. Raises RunFolderError where a resumed run has another."""
        path = self.path / name
        _require_same(path, text)
        if not path.exists():
            replace_text(path, text)

    def read_summary(self) -> dict[str, Any]:
        """Return summary.json of a run that has ended. Raises RunFolderError."""
        return read_object(self.summary, remedy="put back the file that the run wrote, or remove it to have it made again")

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        replace_text(self.summary, json.dumps(summary, indent=2) + "\n")

    def close(self) -> None:
        """Let another driver have the folder."""
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, UserError) and self._made and not read_lines(self.metrics):
            shutil.rmtree(self.path)
            for parent in self._made[1:]:
                if not any(parent.iterdir()):
                    parent.rmdir()
        self.close()

    def _record_attempt(self, changed: Mapping[str, tuple[Any, Any]], why: str = "") -> int:
        path = self.path / VERSIONS
        attempts = read_attempts(path)
        attempt = {
            "attempt": len(attempts) + 1,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "changed": {key: {"from": was, "to": now} for key, (was, now) in changed.items()},
            **({"after": why} if why else {}),
            **environment.versions(),
        }
        replace_text(path, json.dumps({"attempts": [*attempts, attempt]}, indent=2) + "\n")
        return len(attempts) + 1


def check(path: Path, config: RlConfig | SftConfig) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ from those of the run in `path` and may; writes nothing.

    Raises RunFolderError where the folder cannot be used for `config`.
    """
    if not path.exists():
        return {}
    if not path.is_dir():
        raise RunFolderError(f"run.dir: {path} is a file; name another folder")
    if not (path / CONFIG).exists():
        begun = {LOCK, aside_of(path / CONFIG).name}  # what a first start leaves that was killed at once
        if unknown := sorted(entry.name for entry in path.iterdir() if entry.name not in begun):
            raise RunFolderError(f"run.dir: {path} holds no run, but {', '.join(unknown[:3])}; name another folder")
        return {}
    known, written = settings(type(config)), _read_config(path / CONFIG)
    if foreign := sorted(written.keys() - known.keys()):
        raise RunFolderError(f"run.dir: {path} holds {_run_of(written)}: its {CONFIG} has {', '.join(foreign[:3])}; name another run.dir")
    was = {key: default for key, (_, default) in known.items()} | written
    now = _flatten(OmegaConf.to_container(OmegaConf.structured(config)))
    changed = {key: (was[key], now.get(key)) for key in was if was[key] != now.get(key)}
    refused = {key: values for key, values in changed.items() if not any(fnmatch(key, pattern) for pattern in MAY_CHANGE)}
    if refused:
        lines = [f"  {key}: the run has {old!r}, got {new!r}" for key, (old, new) in refused.items()]
        remedy = f"set them back as in its {CONFIG} to resume it; or name another run.dir"
        raise RunFolderError("\n".join([f"run.dir: {path} holds a run of another configuration", *lines, remedy]))
    return changed


def _require_same(path: Path, text: str) -> None:
    """Raise RunFolderError where a resumed run was started with another file than `text`."""
    if not os.path.lexists(path):
        return
    try:
        same = path.is_file() and path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if not same:
        raise RunFolderError(f"run.dir: {path} differs from what was given now; give the same to resume, or name another run.dir")


def _run_of(written: Mapping[str, Any]) -> str:
    """Say which command has such settings."""
    kinds = (f"a run of `toolrl {name}`" for name, kind in KINDS.items() if written.keys() <= settings(kind).keys())
    return next(kinds, "a run of another version of toolrl")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return read_settings(path)
    except ConfigError as error:
        raise RunFolderError(f"run.dir: {path}: {error}; put it back, or name another run.dir") from error


def _flatten(tree: Any) -> dict[str, Any]:
    return {f"{section}.{name}": value for section, part in tree.items() for name, value in part.items()}


def _make_folders(path: Path) -> list[Path]:
    """Make `path` and what is missing above it; returns what was made, innermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"run.dir: {path} cannot be made ({error.strerror}); name another folder") from error
    return missing


def _lock(path: Path) -> IO[str]:
    """Take the folder for this process; the kernel lets go of it however the process ends."""
    file = (path / LOCK).open("a+")
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise RunFolderError(f"run.dir: {path} is in use by {owner}; wait for it to end, or name another run.dir") from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file
