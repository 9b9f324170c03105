"""How far a run has come, and what may lie ahead of what: the rest of an audit takes every other gap for a loss.

With C the newest checkpoint, M the newest line of metrics and R the newest file of rollouts (0, -1 and 0 where there is none):

    ended            C = M = R, the steps of summary.json
    cut short or     C <= M and C <= R: what is beyond C is complete, and a resume discards it
    in progress      R = M + 1: the rollouts were written, their version was still measured
                     M = R + 1: the line was written, its rollouts were still on their way to the disk
    rewind cut short versions beyond C have no rollouts, and those lie in discarded/; of the last one they may never have been written
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.readable import SUMMARY
from toolrl.pipelines.auditing.files import RunFiles
from toolrl.pipelines.auditing.findings import Findings


@dataclass(frozen=True)
class Extent:
    """Which versions an audit looks at."""

    last: int
    """The newest one that anything tells of."""
    newest: int
    """That of the checkpoint which a resume would go on from, 0 where it would start anew."""
    no_rows: Collection[int] = frozenset()
    """Versions that may be without rollouts."""
    no_line: Collection[int] = frozenset()
    """Versions that may be without a line."""
    rewinding_to: int | None = None
    """The version that a rewind was taking the run back to when it was cut short."""


def extent_of(files: RunFiles, attempts: int, findings: Findings) -> Extent:
    """Return it, and add to `findings` what is unfinished, or ended where it should not.

    Args:
        files: The run.
        attempts: How many there are.
        findings: Receives both.
    """
    far = _far_off({*files.lines.versions, *files.rollouts})
    for version in sorted(far):
        findings.problem("version", f"version {version}: far from any other", version=version)
    if 0 in files.rollouts:
        findings.problem("version", "version 0: no batch makes it, and it has rollouts", version=0)
    told = max((version for version in files.lines.versions if version not in far), default=-1)
    kept = max((version for version in files.rollouts if version not in far), default=0)
    last = max(told, kept, 0)
    hole = next((version for version in range(1, kept) if version not in files.rollouts), kept + 1)
    newest = files.newest(reach=min(told, kept, hole - 1))
    if files.summary is not None:
        ends = {SUMMARY: files.summary.get("steps"), "metrics.jsonl": told, "rollouts/": kept, "checkpoints/": newest}
        if len(set(ends.values())) > 1:
            findings.problem("end", f"the run has ended, at different versions: {', '.join(f'{n} {v}' for n, v in ends.items())}")
        return Extent(last, newest)
    _tell(files, newest, last, attempts, findings)
    no_rows = {told} if told == kept + 1 > newest else set()
    no_line = {kept} if kept == told + 1 > newest else set()
    for version in no_rows:
        findings.unfinished.append(f"version {version} is in metrics.jsonl, and its rollouts were still being written")
    for version in no_line:
        findings.unfinished.append(f"the rollouts of version {version} are there, and the version was still being measured")
    gap = {version for version in range(newest + 1, last + 1) if version not in files.rollouts} - no_rows
    moved = _moved(files, kept, attempts) if gap else {}
    taken = [moved[version] for version in gap & moved.keys()]
    if not taken or gap - moved.keys() - {told}:
        return Extent(last, newest, no_rows, no_line)
    findings.unfinished.append(f"attempt {max(taken) + 1} was rewinding the run to version {newest}: the next start ends that")
    return Extent(last, newest, no_rows | gap, no_line, rewinding_to=newest)


def _moved(files: RunFiles, kept: int, attempts: int) -> dict[int, int]:
    """Return the versions that rewinds moved since version `kept`, the newest with rollouts, was made: version -> after which attempt.

    A rewind that is cut short stays so while the next attempts start, and the one that ends it moves the rest to a folder of its own.
    """
    try:
        made_by = rollouts.read_file(files.rollouts[kept], ("attempt",)).column("attempt").to_pylist() if kept in files.rollouts else []
    except RunFolderError:  # told when the versions are read one by one
        made_by = []
    found: dict[int, int] = {}
    for attempt in range(max([1, *filter(None, made_by[:1])]), attempts):
        found |= dict.fromkeys(rollouts.files(rollouts.discarded_folder(files.path, attempt)), attempt)
    return found


def _far_off(versions: Collection[int]) -> set[int]:
    """Return versions that a number gone wrong has made: so far up that most before them would be missing."""
    most = 2 * len(versions) + 8
    return {version for version in versions if version > most}


def check_summary(files: RunFiles, completions: int, reasons: Counter[str], findings: Findings) -> None:
    """Hold summary.json against what the files have: completions trained, and verdicts by reason."""
    if files.summary is None:
        return
    for name, ours in (("completions", completions), ("reasons", dict(reasons))):
        if files.summary.get(name) != ours:
            findings.problem("summary", f"{SUMMARY}: {name} {files.summary.get(name)!r}, the files have {ours!r}")


def _tell(files: RunFiles, newest: int, last: int, attempts: int, findings: Findings) -> None:
    """Say of a run that has not ended where it stands."""
    if files.driver:
        findings.unfinished.append(f"in progress ({files.driver}): this is a moment of it")
    if last > newest:
        beyond = f"version {last}" if last == newest + 1 else f"versions {newest + 1} to {last}"
        lies = "is" if last == newest + 1 else "are"
        findings.unfinished.append(
            f"{beyond} {lies} beyond the newest checkpoint, version {newest}: a resume moves that to discarded/attempt-{attempts} "
            "and makes it again"
        )
    if files.lines.torn:
        findings.unfinished.append("the last line of metrics.jsonl is torn, and is not read")
    findings.unfinished += [f"checkpoints/{name} has no mark: it is not complete, and is not read" for name in files.unmarked]
    writing = sorted(path.name for path in (files.path / "rollouts").glob(".version-*.tmp"))
    findings.unfinished += [f"rollouts/{name} is not complete, and is not read" for name in writing]
