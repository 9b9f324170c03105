"""What the doctor has to say: facts it looked at, and findings, each with its evidence, the likely cause, and the next command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """How bad it is; the worst is told first."""

    ERROR = 0  # nothing runs, or the run cannot go on
    WARNING = 1  # it runs, and will cost something
    NOTE = 2  # worth knowing; nothing is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found."""

    severity: Severity
    culprit: str
    """The part that is to blame, in a word or two: `engine-0`, `disk`, `clock of node 10.0.0.2`."""
    what: str
    cause: str
    """Likely."""
    next: str
    """A command, or what to do."""
    evidence: tuple[str, ...] = ()


@dataclass
class Report:
    """Grows while the doctor looks around."""

    subject: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    """What was looked at, and what there was."""
    findings: list[Finding] = field(default_factory=list)

    def fact(self, name: str, value: str) -> None:
        """Add a fact."""
        self.facts.append((name, value))

    def error(self, culprit: str, what: str, *, cause: str, next: str, evidence: Sequence[str] = ()) -> None:
        """Add a finding that stops a run."""
        self.findings.append(Finding(Severity.ERROR, culprit, what, cause, next, tuple(evidence)))

    def warning(self, culprit: str, what: str, *, cause: str, next: str, evidence: Sequence[str] = ()) -> None:
        """Add a finding that a run can live with."""
        self.findings.append(Finding(Severity.WARNING, culprit, what, cause, next, tuple(evidence)))

    def note(self, culprit: str, what: str, *, cause: str, next: str, evidence: Sequence[str] = ()) -> None:
        """Add something worth knowing."""
        self.findings.append(Finding(Severity.NOTE, culprit, what, cause, next, tuple(evidence)))

    @property
    def sorted(self) -> list[Finding]:
        """The worst first; as they were found otherwise."""
        return sorted(self.findings, key=lambda each: each.severity)

    @property
    def wrong(self) -> bool:
        """Whether anything is."""
        return any(each.severity < Severity.NOTE for each in self.findings)


def as_json(report: Report) -> dict[str, Any]:
    """Return the report for a program."""
    findings = [asdict(each) | {"severity": each.severity.name.lower()} for each in report.sorted]
    return {"subject": report.subject, "wrong": report.wrong, "facts": dict(report.facts), "findings": findings}


def size(num_bytes: float) -> str:
    """Return a size for a person.

    >>> size(64 * 2**20), size(1.5 * 2**30), size(200)
    ('64 MiB', '1.5 GiB', '200 bytes')
    """
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes:.0f} bytes"


def ago(seconds: float) -> str:
    """Return an age for a person.

    >>> ago(4.2), ago(600), ago(7200)
    ('4 s ago', '10 min ago', '2 h ago')
    """
    for unit, factor in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
