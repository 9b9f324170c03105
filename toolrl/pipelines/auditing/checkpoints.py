"""Checkpoints against the lineage: each says what the versions up to its own add up to.

One that says otherwise, or lies beyond the lineage, is read whole: if it is damaged, a resume has passed it over and the next save
removes it; if it is not, what it says is a problem.
"""

from __future__ import annotations

from toolrl.pipelines.auditing.extent import Extent
from toolrl.pipelines.auditing.files import RunFiles, Saved
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.ledger import Ledger


def check_checkpoints(files: RunFiles, ledger: Ledger, extent: Extent, findings: Findings, *, deep: bool) -> None:
    """Add to `findings` what is wrong with the checkpoints.

    Args:
        files: The run.
        ledger: Its lineage.
        extent: How far it reaches.
        findings: Receives what is wrong.
        deep: Read every byte of every checkpoint.
    """
    for saved in (*files.saved, *filter(None, [files.best])):
        name = f"checkpoints/{saved.path.name}"
        wrong = _wrong(saved, ledger, extent)
        damage = saved.damage() if deep or wrong else ""
        if damage and files.driver and not saved.is_there():
            continue
        if damage and wrong and saved is not files.best:
            findings.unfinished.append(f"{name} is of a lineage that was left, since it is damaged; the next checkpoint removes it")
        elif damage:
            findings.problem("damaged checkpoint", f"{name}: {damage}", version=saved.version)
        elif wrong:
            findings.problem("checkpoint", f"{name}: {wrong}", version=saved.version)


def _wrong(saved: Saved, ledger: Ledger, extent: Extent) -> str:
    """Return how a checkpoint differs from the lineage, an empty text where it does not."""
    if saved.version > extent.last:
        return f"beyond version {extent.last}, the last one that anything tells of"
    ours = ledger.states.get(saved.version, ledger.state(0) if saved.version == 0 else {})
    wrong = [
        f"{key} {saved.state.get(key)!r}, the versions up to it have {value!r}"
        for key, value in ours.items()
        if saved.state.get(key) != value
    ]
    return "; ".join(wrong)
