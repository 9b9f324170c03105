"""The doctor's report for a person: what was looked at, then findings, the worst first."""

from __future__ import annotations

from toolrl.pipelines.doctoring.findings import Finding, Report, Severity
from toolrl.pipelines.review.page import page, printable, wrap

INDENT = 18
CLEAN = "nothing wrong was found"


def text(report: Report, width: int) -> str:
    """Return the page, `width` columns wide. Commands to copy are never cut."""
    wrong = sum(each.severity < Severity.NOTE for each in report.findings)
    verdict = CLEAN if not wrong else f"{wrong} finding{'' if wrong == 1 else 's'}, the worst first"
    head = page(
        [[f"toolrl doctor: {report.subject}"], [line for name, value in report.facts for line in _named(name, value, width)]], width
    )
    return "\n\n".join([head, verdict, *(_finding(each, width) for each in report.sorted)])


def _finding(finding: Finding, width: int) -> str:
    lines = wrap(f"{finding.severity.name} · {finding.culprit}: {printable(finding.what)}", width, "  ")
    seen = [line for each in finding.evidence for line in each.split("\n")]
    for number, line in enumerate(seen):
        lines += _named("" if number else "  evidence", printable(line), width)
    lines += _named("  cause", printable(finding.cause), width)
    first, *rest = finding.next.split("\n")
    return "\n".join([*lines, f"{'  next':{INDENT}}{printable(first)}", *(f"{'':{INDENT}}{printable(line)}" for line in rest)])


def _named(name: str, value: str, width: int) -> list[str]:
    first, *rest = wrap(value, max(width - INDENT, 40)) or [""]
    return [f"{name:{INDENT}}{first}", *(f"{'':{INDENT}}{line}" for line in rest)]
