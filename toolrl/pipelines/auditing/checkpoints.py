"""Checkpoints against the lineage: each says what the versions up to its own add up to.

One that says otherwise, or lies beyond the lineage, is read whole: if it is damaged, a resume has passed it over and the next save
removes it; if it is not, what it says is a problem.
"""

from __future__ import annotations

from collections.abc import Mapping

from toolrl.checkpoint.store import BEST
from toolrl.pipelines.auditing.extent import Extent
from toolrl.pipelines.auditing.files import RunFiles, Saved
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.ledger import Ledger
from toolrl.pipelines.auditing.rules import Attempt


def check_checkpoints(
    files: RunFiles, ledger: Ledger, extent: Extent, attempts: Mapping[int, Attempt], findings: Findings, *, deep: bool
) -> None:
    """Add to `findings` what is wrong with the checkpoints.

    Args:
        files: The run.
        ledger: Its lineage.
        extent: How far it reaches.
        attempts: By number.
        findings: Receives what is wrong.
        deep: Read every byte of every checkpoint.
    """
    told: list[Saved] = []
    left = _is_left(files, extent)
    if left:
        where = f"a version beyond the newest checkpoint, version {extent.newest}"
        findings.unfinished.append(f"checkpoints/{BEST} is of {where}: a start that finds it so moves it to discarded/")
    for saved in (*files.saved, *filter(None, [None if left else files.best])):
        name = f"checkpoints/{saved.path.name}"
        wrong = _wrong(saved, ledger, extent)
        damage = saved.damage() if deep or wrong else ""
        if damage and files.driver and not saved.is_there():
            continue
        if damage and wrong and saved is not files.best:
            findings.unfinished.append(f"{name} is of a lineage that was left, since it is damaged; the next checkpoint removes it")
        elif damage:
            told.append(saved)
            findings.problem("damaged checkpoint", f"{name}: {damage}", version=saved.version)
        elif wrong:
            told.append(saved)
            findings.problem("checkpoint", f"{name}: {wrong}", version=saved.version)
    if not left and not any(saved is files.best or saved.version == extent.newest for saved in told):
        _check_best(files, extent, attempts, findings)


def _check_best(files: RunFiles, extent: Extent, attempts: Mapping[int, Attempt], findings: Findings) -> None:
    """Add to `findings` where the best weights are not those of the best version up to the newest checkpoint.

    They are written right after the checkpoint of their version. Version 0 has none: it is the start model.
    """
    state = next((saved.state for saved in files.saved if saved.version == extent.newest), {})
    best, there = state.get("best_version"), files.best.version if files.best else None
    astray = files.summary is not None and extent.newest != extent.last  # told as an end that is none
    if not files.config.checkpoint.best or not best or best == there or astray:
        return
    has = f"checkpoints/{BEST} is {'not there' if there is None else f'of version {there}'}, and the best version is {best}"
    if files.summary is None and best == extent.newest:
        findings.unfinished.append(f"{has}: it was about to be written, which the next start does")
    elif files.driver and there is None:
        findings.unfinished.append(f"{has}: it may be replaced just now")
    elif there is None and any((files.path / "discarded").glob(f"attempt-*/{BEST}")):
        findings.unfinished.append(f"{has}: a better one had taken its place, and is in discarded/ with its lineage; the next best is kept")
    elif not all(attempt.keeps_best for attempt in attempts.values()):
        findings.unfinished.append(f"{has}: checkpoint.best was false for some of the attempts; the next best is kept")
    else:
        findings.problem("best weights", has, version=best)


def _is_left(files: RunFiles, extent: Extent) -> bool:
    """Whether the best weights are of a lineage that the next start leaves, and are moved out by it."""
    return files.summary is None and files.config.checkpoint.best and files.best is not None and files.best.version > extent.newest


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
