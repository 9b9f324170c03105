"""The report of an audit for a person: outcomes, attempts, what was discarded and where, what is unfinished, problems."""

from __future__ import annotations

from collections.abc import Iterable

from toolrl.monitor.outcomes import Outcome
from toolrl.pipelines.auditing.discarded import Discarded
from toolrl.pipelines.auditing.report import RunReport
from toolrl.pipelines.review.page import page, table, wrap

MOST_PROBLEMS = 40
"""Problems shown; --json has more of them."""
CLEAN = "clean: every draw of the surviving lineage has ended once, and metrics, checkpoints and discarded files agree"


def text(report: RunReport, width: int) -> str:
    """Return the page, `width` columns wide."""
    ledger = report.ledger
    count = f"{report.extent.last:,} versions, {ledger.taken:,} draws, {sum(ledger.rows.values()):,} completions"
    sections = [
        [str(report.files.path), f"{report.standing}: {count}"],
        _outcomes(report),
        _attempts(report, width),
        _discarded(report.discarded),
    ]
    sections += [_list("unfinished, which is no problem", report.findings.unfinished, width), _problems(report, width)]
    return page(sections, width)


def _outcomes(report: RunReport) -> list[str]:
    ledger = report.ledger
    shown = [name for name in report.outcomes if ledger.draws[name] or name != Outcome.STALE]
    rows = [[str(name), f"{ledger.draws[name]:,}", f"{ledger.rows[name]:,}"] for name in shown]
    return [
        *table([["a draw ended", "draws", "completions"], *rows], right=(1, 2)),
        *(f"  discarded: {draws:,} for {why}" for why, draws in ledger.discarded.most_common()),
    ]


def _attempts(report: RunReport, width: int) -> list[str]:
    rows = [["attempt", "started", "staleness", "survives of it", "draws"]]
    came_after: list[str] = []
    for number, attempt in report.rules.attempts.items():
        stretch = report.ledger.attempts.get(number)
        kept = _span("version", stretch.first, stretch.last) if stretch else "nothing"
        rows.append([str(number), attempt.started, f"<= {attempt.max_staleness}", kept, f"{stretch.draws:,}" if stretch else "0"])
        if attempt.after:
            came_after += wrap(f"  attempt {number} came after: {' '.join(attempt.after.split())}", width, "    ")
    return [*table(rows, right=(0, 4)), *came_after]


def _discarded(discarded: Iterable[Discarded]) -> list[str]:
    rows = []
    for each in discarded:
        pieces = each.pieces
        draws = _span("draw", pieces[0].first_draw, pieces[-1].last_draw) if pieces else "no draws"
        versions = _span("version", pieces[0].version, pieces[-1].version) if pieces else "no rollouts"
        completions = sum(piece.completions for piece in pieces)
        lines = f"{len(each.lines)} line{'' if len(each.lines) == 1 else 's'}{', the best weights' if each.best else ''}"
        rows.append([f"discarded/attempt-{each.attempt}", versions, draws, f"{completions:,} completions", lines])
    return ["taken out by rewinds, and made again:", *(f"  {line}" for line in table(rows))] if rows else []


def _span(noun: str, first: int, last: int) -> str:
    return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"


def _list(title: str, lines: Iterable[str], width: int) -> list[str]:
    told = [part for line in lines for part in wrap(f"  {line}", width, "    ")]
    return [f"{title}:", *told] if told else []


def _problems(report: RunReport, width: int) -> list[str]:
    problems, total = report.findings.problems, report.findings.counts.total()
    if report.clean:
        return wrap(CLEAN, width)
    told = _list(f"{total:,} problem{'s' if total > 1 else ''}", (problem.message for problem in problems[:MOST_PROBLEMS]), width)
    more = total - min(len(problems), MOST_PROBLEMS)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in report.findings.counts.most_common())
    return [*told, *(wrap(f"  … and {more:,} more; of each kind: {kinds}", width, "    ") if more else [])]
