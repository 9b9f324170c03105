"""What rewinds took out: discarded/attempt-k, with what attempt k or one before it had made beyond the checkpoint that came next.

Nothing of it is in the surviving lineage as well: versions of those attempts that survive lie below the first one that was taken out, and
its draws begin where theirs end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from toolrl.checkpoint.store import BEST
from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.pipelines.auditing.account import Account, read_account
from toolrl.pipelines.auditing.extent import Extent
from toolrl.pipelines.auditing.files import RunFiles
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.ledger import Ledger
from toolrl.pipelines.auditing.lines import MetricLines

_NAME = re.compile(r"attempt-(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Piece:
    """A version that was taken out."""

    version: int
    attempt: int
    first_draw: int
    last_draw: int
    completions: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """One folder."""

    attempt: int
    """After which it was taken out."""
    pieces: tuple[Piece, ...]
    lines: tuple[int, ...]
    """Versions of its lines of metrics, ascending."""
    best: bool
    """Whether the best weights were taken out too."""


def check_discarded(files: RunFiles, ledger: Ledger, attempts: int, extent: Extent, findings: Findings) -> list[Discarded]:
    """Return what is in discarded/, by attempt, and add to `findings` what is wrong with it."""
    folders = sorted((files.path / "discarded").glob("*"), key=lambda folder: (len(folder.name), folder.name))
    named = {folder: int(name[1]) for folder in folders if (name := _NAME.fullmatch(folder.name))}
    for folder in folders:
        if not 1 <= named.get(folder, 0) <= attempts:
            findings.problem("discarded", f"discarded/{folder.name}: the run had the attempts 1 to {attempts}")
    found = [_read(folder, attempt, findings) for folder, attempt in named.items() if 1 <= attempt <= attempts]
    gone = {piece.version for each in found for piece in each.pieces}
    for (version, by), times in Counter((piece.version, piece.attempt) for each in found for piece in each.pieces).items():
        if times > 1:
            findings.problem("twice", f"discarded/: has version {version} of attempt {by} {times} times", version=version)
    for each in found:
        _check(each, ledger, extent.rewinding_to, gone, findings)
    return found


def _read(folder: Path, attempt: int, findings: Findings) -> Discarded:
    pieces = []
    for version, path in rollouts.files(folder).items():
        try:
            pieces.append(_piece(read_account(version, path), f"{folder.parent.name}/{folder.name}", attempt, findings))
        except RunFolderError as error:
            findings.problem("broken file", str(error), version=version)
    ours = Findings()  # what is wrong in a line that is out of the run is told as one problem of the folder
    with MetricLines(folder / "metrics.jsonl", ours) as lines:
        if ours.problems:
            findings.problem("discarded", f"discarded/{folder.name}: {ours.problems[0].message}")
        return Discarded(attempt, tuple(pieces), tuple(sorted(lines.versions)), (folder / BEST).is_dir())


def _piece(account: Account, where: str, attempt: int, findings: Findings) -> Piece:
    version, numbers = account.version, list(account.draws)
    foreign = {row["version"] for row in account.rows} - {version}
    if foreign or account.attempt > attempt or len({row["attempt"] for row in account.rows}) > 1:
        told = f"version {min(foreign)}" if foreign else f"attempt {max(row['attempt'] for row in account.rows)}"
        findings.problem("discarded", f"{where}: rows of {told} in the file of version {version}", version=version)
    if numbers[-1] - numbers[0] + 1 != len(numbers):
        findings.problem("discarded", f"{where}: draws are missing between {numbers[0]} and {numbers[-1]}", version=version)
    return Piece(version, account.attempt, numbers[0], numbers[-1], len(account.rows))


def _nowhere(after: int, before: int, known: Set[int]) -> list[int]:
    """Return the versions between two of which nothing is known."""
    return [version for version in range(after + 1, before) if version not in known]


def _check(discarded: Discarded, ledger: Ledger, upto: int | None, gone: Set[int], findings: Findings) -> None:
    """Hold one folder against the lineage that survives, of which only the versions up to `upto` are to stay."""
    where = f"discarded/attempt-{discarded.attempt}"
    stay = ledger.written_by if upto is None else ledger.written_by[: upto + 1]
    below = max((version for version, by in enumerate(stay) if 0 < by <= discarded.attempt), default=0)
    if below and discarded.lines and discarded.lines[0] <= below:
        message = f"{where}: has the line of version {discarded.lines[0]}, and the run has kept what was made up to version {below}"
        findings.problem("twice", message, version=discarded.lines[0])
    if not discarded.pieces:
        return
    to_go = {version for version, by in enumerate(ledger.written_by) if version > below and 0 < by <= discarded.attempt}
    first, due = discarded.pieces[0], ledger.taken_after[below]
    lost = _nowhere(below, first.version, gone | to_go)
    message = ""
    if below >= first.version:
        message = f"has version {first.version}, and attempt {ledger.written_by[below]} wrote version {below} of the run that survives"
    elif lost:
        message = f"begins with version {first.version}, and version {lost[0]} is nowhere"
    elif below == first.version - 1 and due != first.first_draw:
        message = f"version {first.version} begins with draw {first.first_draw}, and the run below it ends before draw {due}"
    if message:
        kind = "twice" if below >= first.version else "discarded"
        findings.problem(kind, f"{where}: {message}", version=first.version, draw=first.first_draw)
    for before, after in pairwise(discarded.pieces):
        # A rewind that was cut short leaves a hole: what lies between is in the folder of the one that ended it.
        draws = after.first_draw - before.last_draw - 1
        if _nowhere(before.version, after.version, gone | to_go) or draws < 0 or (draws > 0 and after.version == before.version + 1):
            message = f"version {after.version} (from draw {after.first_draw}) after version {before.version} (to draw {before.last_draw})"
            findings.problem("discarded", f"{where}: {message}", version=after.version, draw=after.first_draw)
