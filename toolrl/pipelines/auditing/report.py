"""What an audit has to say of a run: complete when it is made, then shown as a page or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolrl.monitor.outcomes import Outcome
from toolrl.pipelines.auditing.discarded import Discarded
from toolrl.pipelines.auditing.extent import Extent
from toolrl.pipelines.auditing.files import RunFiles
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.ledger import Ledger
from toolrl.pipelines.auditing.rules import Rules


@dataclass(frozen=True)
class RunReport:
    """The outcome of an audit."""

    files: RunFiles
    rules: Rules
    extent: Extent
    ledger: Ledger
    discarded: Sequence[Discarded]
    findings: Findings

    @property
    def clean(self) -> bool:
        """Whether there is no problem."""
        return not self.findings.problems

    @property
    def standing(self) -> str:
        """How the run stands, in a word or two."""
        if self.files.summary is not None:
            return "ended"
        return "in progress" if self.files.driver else "not ended"

    @property
    def outcomes(self) -> list[str]:
        """Outcomes in the order of the page, those that are none last."""
        return [*Outcome, *sorted(set(self.ledger.draws) - set(Outcome))]


def as_json(report: RunReport) -> dict[str, Any]:
    """Return the report for a program."""
    ledger = report.ledger
    return {
        "run": str(report.files.path),
        "clean": report.clean,
        "standing": report.standing,
        "versions": report.extent.last,
        "draws": ledger.taken,
        "outcomes": {name: {"draws": ledger.draws[name], "completions": ledger.rows[name]} for name in report.outcomes},
        "discarded_for": dict(ledger.discarded),
        "attempts": [
            {**asdict(attempt), "survives": asdict(ledger.attempts[attempt.number]) if attempt.number in ledger.attempts else None}
            for attempt in report.rules.attempts.values()
        ],
        "checkpoints": [saved.version for saved in report.files.saved],
        "best": None if report.files.best is None else report.files.best.version,
        "discarded": [asdict(each) for each in report.discarded],
        "unfinished": report.findings.unfinished,
        "problems": [asdict(problem) for problem in report.findings.problems],
        "problem_counts": dict(report.findings.counts),
    }
