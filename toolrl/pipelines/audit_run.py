"""`toolrl audit RUN`: proves from the files of a run that it lost nothing and counted nothing twice.

run folder ─> files at one moment ─> rules (settings, attempts, prompts) ─> every version once, in order ─> checkpoints, discarded ─> report

Reads only; memory holds one version at a time. Digests of checkpoints only where asked (`--deep`), or where one contradicts the lineage.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from toolrl.pipelines.auditing import page
from toolrl.pipelines.auditing.checkpoints import check_checkpoints
from toolrl.pipelines.auditing.discarded import check_discarded
from toolrl.pipelines.auditing.extent import check_summary, extent_of
from toolrl.pipelines.auditing.files import look
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.lineage import walk
from toolrl.pipelines.auditing.report import RunReport, as_json
from toolrl.pipelines.auditing.rules import rules_of


def audit_run(path: Path, *, deep: bool, json_wanted: bool, width: int, out: TextIO) -> int:
    """Audit the run in `path`, write the report to `out`, and return the exit code: 1 where there are problems.

    Raises RunFolderError or ConfigError where the folder cannot be audited at all.
    """
    report = audited(path, deep=deep)
    print(json.dumps(as_json(report)) if json_wanted else page.text(report, width), file=out, flush=True)
    return 0 if report.clean else 1


def audited(path: Path, *, deep: bool = False) -> RunReport:
    """Return the audit of the run in `path`. Raises RunFolderError or ConfigError where it cannot be audited at all."""
    findings = Findings()
    files = look(path, findings)
    with files.lines:
        rules = rules_of(path, files.config, findings)
        extent = extent_of(files, len(rules.attempts), findings)
        ledger = walk(files, rules, extent, findings)
    check_checkpoints(files, ledger, extent, rules.attempts, findings, deep=deep)
    discarded = check_discarded(files, ledger, len(rules.attempts), extent, findings)
    check_summary(files, ledger.completions, ledger.reasons, findings)
    return RunReport(files, rules, extent, ledger, discarded, findings)
