"""The surviving lineage, version by version: each draw once, in order, and all that follows from it.

    version 1, 2, …: rows, line ─> rows by themselves, line against rows, draws after those before ─> Ledger

One version is in memory at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby

from toolrl.errors import RunFolderError
from toolrl.monitor.lines import Line
from toolrl.pipelines.auditing.account import Account, read_account
from toolrl.pipelines.auditing.extent import Extent
from toolrl.pipelines.auditing.files import RunFiles
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.ledger import Ledger, number
from toolrl.pipelines.auditing.measures import check_line
from toolrl.pipelines.auditing.rows import check_rows
from toolrl.pipelines.auditing.rules import Rules

MOST_DRAWS = 10**6
"""More than any version takes: a line or a row that says so is wrong, and does not shift the draws of the versions after it."""


def walk(files: RunFiles, rules: Rules, extent: Extent, findings: Findings) -> Ledger:
    """Read every version of a run once, in order, and add to `findings` what is wrong."""
    ledger = Ledger()
    masked, minibatches = rules.config.algo.truncated == "mask", rules.config.learner.minibatches
    wanted = {saved.version for saved in (*files.saved, *filter(None, [files.best]))}
    for version in range(extent.last + 1):
        line, account = files.lines.of(version), _account(files, version, extent, findings) if version else None
        if line is None and version not in extent.no_line and extent.last:
            findings.problem("missing line", f"version {version}: no line in metrics.jsonl", version=version)
        if account is not None:
            check_rows(account, rules, findings)
            ledger.tally(account)
        if account is not None and line is not None:
            check_line(account, line, findings, masked=masked)
        if version:
            _follow(ledger, version, account, line, rules.config.loop.prompts_per_batch, findings)
        ledger.learn(version, line, minibatches)
        if version in wanted:
            ledger.states[version] = ledger.state(version)
    return ledger


def _account(files: RunFiles, version: int, extent: Extent, findings: Findings) -> Account | None:
    if version not in files.rollouts:
        if version not in extent.no_rows:
            findings.problem("missing version", f"version {version}: no file in rollouts/", version=version)
        return None
    try:
        return read_account(version, files.rollouts[version])
    except RunFolderError as error:
        findings.problem("broken file", f"version {version}: {error}", version=version)
        return None


def _follow(ledger: Ledger, version: int, account: Account | None, line: Line | None, size: int, findings: Findings) -> None:
    """Take the draws of a version after those before, and the attempt that wrote it."""
    told = number(line, "loop/draws", MOST_DRAWS)
    if account is None:
        ledger.follow(told or size, 0)
        return
    due = _due(ledger.taken, account, told, size)
    _check_draws(ledger, version, list(account.draws), due, findings)
    if account.attempt < ledger.newest_attempt:
        message = f"version {version}: written by attempt {account.attempt}, after a version of attempt {ledger.newest_attempt}"
        findings.problem("attempt", message, version=version)
    ledger.follow(len(due), account.attempt)


def _due(taken: int, account: Account, told: int | None, size: int) -> range:
    """Return the draws of a version: as its rows have it where these make a whole batch, else as its line says, else by a guess.

    So one fault is one problem, and does not shift all versions after it.
    """
    first, last, count = min(account.draws), max(account.draws), len(account.draws)
    if account.trained == size and last - first + 1 == count and taken <= first <= taken + MOST_DRAWS:
        return range(taken, last + 1)
    if told is not None:
        return range(taken, taken + told)
    return range(taken, max(taken + count, min(last + 1, taken + 2 * count + size)))


def _check_draws(ledger: Ledger, version: int, numbers: Sequence[int], due: range, findings: Findings) -> None:
    """Hold the draws of a version against those that were due."""
    found = set(numbers)
    wanted = f"{due.start} to {due.stop - 1} were due"
    if missing := [draw for draw in due if draw not in found]:
        message = f"version {version}: {_told(missing)} missing, {wanted}"
        findings.problem("missing draw", message, version=version, draw=missing[0])
    if doubled := [draw for draw in numbers if draw < due.start]:
        again = f"version {bisect_right(ledger.taken_after, doubled[0])} has ended draw {doubled[0]} already"
        message = f"version {version}: {_told(doubled)} again, {again if doubled[0] >= 0 else 'which is none'}"
        findings.problem("doubled draw", message, version=version, draw=doubled[0])
    if early := [draw for draw in numbers if draw >= due.stop]:
        message = f"version {version}: {_told(early)} before its turn, {wanted}"
        findings.problem("early draw", message, version=version, draw=early[0])


def _told(draws: Sequence[int]) -> str:
    """Return numbers in ascending order as a person writes them.

    >>> _told([3, 5, 6, 7])
    'draws 3, 5 to 7'
    """
    runs = [[draw for _, draw in run] for _, run in groupby(enumerate(draws), key=lambda pair: pair[1] - pair[0])]
    told = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    more = f" and {len(told) - 4} more" if len(told) > 4 else ""
    return f"draw{'s' if len(draws) > 1 else ''} {', '.join(told[:4])}{more}"
