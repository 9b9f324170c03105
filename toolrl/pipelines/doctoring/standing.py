"""How a run stands, from its folder alone: who drives it, how it ended, where a resume would go on, and what is damaged."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolrl.checkpoint.store import BEST, MARK, PREFIX, TMP, CheckpointStore
from toolrl.errors import CheckpointError, ConfigError, RunFolderError
from toolrl.monitor.lines import Line, read_lines
from toolrl.monitor.readable import LEFT_OUT, SUMMARY, VERSIONS, driver_of, read_attempts, read_left_out, require_readable
from toolrl.monitor.rundir import CHECKPOINTS, CONFIG, LOCK
from toolrl.monitor.status import Status, read_status
from toolrl.pipelines.doctoring.causes import cause_of
from toolrl.pipelines.doctoring.findings import Report, ago, size
from toolrl.pipelines.doctoring.machine import check_disk
from toolrl.pipelines.doctoring.stack import NAMES, PINNED
from toolrl.pipelines.supervised.batches import DIGEST

_DMESG_S = 5.0
_MOST_LINES = 12
_WORDS = {
    "failed": "failed",
    "refused": "was refused",
    "preempted": "was preempted",
    "interrupted": "was stopped by the keyboard",
    "crashed": "ended by an error of toolrl itself",
}


@dataclass(frozen=True)
class Standing:
    """What the folder says."""

    path: Path
    driver: str
    """Who has it now; empty: nobody."""
    status: Status | None
    lines: tuple[Line, ...]
    ended: bool

    @property
    def resume(self) -> str:
        """The command that goes on with it."""
        command = "sft" if (self.path / DIGEST).exists() else "rl"
        path = shlex.quote(str(self.path))
        return f"toolrl {command} {path}/{CONFIG} run.dir={path}"


def look(path: Path, report: Report) -> Standing:
    """Return how the run in `path` stands; what cannot be read is a finding. Raises RunFolderError where it is no run."""
    if not path.is_dir():
        raise RunFolderError(f"{path}: no such folder; give the run.dir of a run")
    if not (path / CONFIG).is_file() and not (path / VERSIONS).is_file():
        raise RunFolderError(f"{path}: holds no run (neither {CONFIG} nor {VERSIONS}); give the run.dir of `toolrl rl` or `toolrl sft`")
    status = lines = None
    try:
        status = read_status(path)
    except RunFolderError as error:
        report.warning(
            "status.json",
            "cannot be read",
            evidence=[str(error)],
            cause="a disk that was full or lost power",
            next=f"rm {path}/status.json",
        )
    try:
        require_readable(path)
        lines = read_lines(path / "metrics.jsonl")
    except (RunFolderError, ConfigError) as error:
        _unreadable(path, error, report)
    found = Standing(path, driver_of(path / LOCK), status, tuple(lines or ()), (path / SUMMARY).is_file())
    _facts(found, report)
    return found


def check_end(found: Standing, report: Report) -> None:
    """Tell how a run ended that nobody drives any more and that has not come to its end."""
    status, now = found.status, time.time()
    if status is None:
        report.warning(
            "driver",
            "the run has not ended, and nobody drives it",
            cause="it was killed, or written by a toolrl that left no status.json",
            next=found.resume,
        )
        return
    where = f"in stage {status.stage}, at version {status.version} of {status.steps}"
    if status.end is None:
        alone = status.host == socket.gethostname()
        killed = _kernel_says(status.pid) if alone else ()
        report.error(
            "driver",
            f"process {status.pid} on {status.host} was killed {where}, without a word",
            evidence=[f"status.json was last written {ago(now - status.written)}, and no end is in it; nobody holds {LOCK}", *killed],
            cause="the kernel killed it for want of memory" if killed else "kill -9, the kernel for want of memory, or its node went down",
            next=f"dmesg -T | grep -i 'killed process'\n{found.resume}",
        )
        return
    end = status.end
    if end.how == "ended":
        report.warning("summary.json", "is gone, though the run has ended", cause="somebody removed it", next=found.resume)
        return
    told = f"the run {_WORDS[end.how]} {ago(now - end.time)} {where}"
    evidence = [line for line in end.error.splitlines() if line.strip()][:_MOST_LINES]
    if end.how in ("preempted", "interrupted"):
        report.warning("the run", told, evidence=evidence, cause="a scheduler or a person ended it", next=found.resume)
        return
    cause = cause_of(
        end.error, run=found.path, resume=found.resume, otherwise="toolrl" if end.how == "crashed" else f"stage {status.stage}"
    )
    report.error(cause.culprit, told, evidence=evidence, cause=cause.cause, next=cause.next)


def check_checkpoints(found: Standing, report: Report, say: Callable[[str], None]) -> None:
    """Read every checkpoint whole, and tell which is damaged and where a resume would go on."""
    folder = found.path / CHECKPOINTS
    marked = [path for path in sorted(folder.glob(f"{PREFIX}*"), reverse=True) if (path / MARK).exists()]
    store, whole, damaged = CheckpointStore(folder, keep=1), [], []
    for path in [*marked, *([folder / BEST] if (folder / BEST / MARK).exists() else [])]:
        say(f"reading {path.name}, {size(sum(file.stat().st_size for file in path.rglob('*') if file.is_file()))} …")
        try:
            store.verify(path)
            whole.append(path.name)
        except (CheckpointError, OSError) as error:
            damaged.append((path.name, str(error)))
    versions = [name for name in whole if name != BEST]
    goes_on = f"a resume goes on from {versions[0]}" if versions else "no checkpoint is whole" if marked else "no checkpoint yet"
    unfinished = [path.name for path in folder.glob(f"{TMP}*")]
    report.fact("checkpoints", f"{', '.join(whole) or 'none'}; {goes_on}{'; unfinished: ' + ', '.join(unfinished) if unfinished else ''}")
    for name, why in damaged:
        report.error(
            f"checkpoint {name}",
            "is damaged",
            evidence=[why],
            cause="a disk, a copy that broke off, or a hand",
            next=f"put it back from a copy; else {goes_on}:\n{found.resume}" if versions else "put one back from a copy",
        )


def check_versions(found: Standing, report: Report) -> None:
    """Tell of packages that a resume would run on, and the attempt before did not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        attempts = read_attempts(found.path / VERSIONS)
    except RunFolderError:  # told already
        return
    packages = attempts[-1].get("packages", {}) if attempts else {}
    differ = []
    for name in (other for part in PINNED for other in NAMES.get(part, (part,)) if isinstance(packages, dict) and other in packages):
        try:
            now = version(name)
        except PackageNotFoundError:
            now = "not installed"
        if now != packages[name]:
            differ.append(f"{name}: the run had {packages[name]}, here is {now}")
    if differ:
        report.warning(
            "versions",
            "a resume would run on other versions",
            evidence=differ,
            cause="another environment, or an upgrade since",
            next="go back to those of the run, or accept that results may shift:\n" + found.resume,
        )


def check_room(found: Standing, report: Report) -> None:
    """Tell of a disk that is full, or has no room for the next checkpoint."""
    check_disk(report, {"run folder": found.path})


def check_history(found: Standing, report: Report) -> None:
    """Tell what the run has been through, as far as it costs something."""
    last = found.lines[-1] if found.lines else {}
    for name, what, where in (
        ("engine/replaced", "processes of engines that were replaced", f"grep engine/replaced {found.path}/metrics.jsonl"),
        ("reward/workers_replaced", "reward workers that were replaced", f"toolrl explain {found.path}"),
        ("reward/quarantined_prompts", "prompts in quarantine", f"toolrl explain {found.path}"),
    ):
        if count := last.get(name):
            report.note(name.partition("/")[0], f"{what}: {count:.0f}", cause="see docs/recovery.md", next=where)
    left = found.path / LEFT_OUT
    try:
        if draws := read_left_out(left):
            report.note("draws", f"{len(draws)} are left out", cause="they could not be trained", next=f"cat {left}")
    except RunFolderError as error:
        _unreadable(found.path, error, report)
    if len(found.lines) > 2 and (last.get("rollout/truncated_share") or 0) > 0.5:
        report.warning(
            "completions",
            f"{last['rollout/truncated_share']:.0%} are cut short",
            cause="sampling.max_tokens is too small: their reward is 0",
            next="raise sampling.max_tokens in another run.dir",
            evidence=[f"rollout/truncated_share of version {last['version']}"],
        )


def _unreadable(path: Path, error: Exception, report: Report) -> None:
    report.error(
        "run folder",
        "a file of it cannot be read",
        evidence=[str(error)],
        cause="a copy that broke off, a disk, or an editor",
        next=f"put the file back; then toolrl audit {path}",
    )


def _facts(found: Standing, report: Report) -> None:
    status = found.status
    version = found.lines[-1]["version"] if found.lines else 0
    how = "has ended" if found.ended else f"in progress, by {found.driver}" if found.driver else "not ended, and nobody drives it"
    report.fact("standing", f"{how}; {len(found.lines)} lines of metrics, up to version {version}")
    if status is not None and not found.ended:
        report.fact(
            "last seen",
            f"attempt {status.attempt}, stage {status.stage}, version {status.version} of {status.steps}, written "
            f"{ago(time.time() - status.written)}",
        )


def _kernel_says(pid: int) -> tuple[str, ...]:
    """Return what the kernel's log says of a process that it killed, where it may be read."""
    try:
        told = subprocess.run(["dmesg"], capture_output=True, text=True, timeout=_DMESG_S, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in told.splitlines() if re.search(rf"[Kk]illed process {pid}\b", line))[-2:]
