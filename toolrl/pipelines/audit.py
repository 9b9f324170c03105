"""`toolrl audit`: of a run, see `audit_run`; of data, the pre-flight audit of a reward on every row, by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from toolrl.config.task import RewardConfig
from toolrl.data.source import load_prompts
from toolrl.errors import ConfigError
from toolrl.pipelines.audit_run import audit_run
from toolrl.pipelines.auditing.files import is_run
from toolrl.pipelines.review.page import wrap
from toolrl.pipelines.review.rewards import told, weights, with_reward
from toolrl.reward.audit import AuditReport, audit
from toolrl.reward.verifier import make_verifier


def audit_target(target: str, *, deep: bool, of_data: Mapping[str, Any], as_json: bool, width: int, out: TextIO) -> int:
    """Audit a run or data, whichever `target` is, and return the exit code.

    Args:
        target: A run folder, or a name of prompts.
        deep: `--deep`, which a run takes.
        of_data: What data takes: the arguments of `audit_data`, None where not given.
        as_json: Print the report as JSON.
        width: Columns of the page.
        out: Where it is written.

    Raises:
        UserError: The target cannot be audited, or an option is none of its kind.
    """
    if is_run(target):
        if foreign := [name for name, value in of_data.items() if value is not None]:
            raise ConfigError(f"--{foreign[0].replace('_', '-')}: {target} is a run, whose reward is not audited; leave it out")
        return audit_run(Path(target), deep=deep, json_wanted=as_json, width=width, out=out)
    if deep:
        raise ConfigError(f"--deep: {target} is no run (it has no versions.json); leave it out")
    audit_data(target, **{**of_data, "part": of_data["part"] or "train"}, as_json=as_json, width=width, out=out)
    return 0


def audit_data(
    data: str,
    *,
    part: str,
    rows: int | None,
    mode: str | None,
    no_call: str | None,
    functions: Sequence[str] | None,
    as_json: bool,
    width: int,
    out: TextIO,
) -> None:
    """Audit the prompts of `data`, the first `rows` where given, and write the report to `out`.

    What is None is as `toolrl rl` has it by default. Raises ConfigError or DataError, after the report where the audit failed.
    """
    if rows is not None and rows < 1:
        raise ConfigError(f"--rows: got {rows}; give a number from 1 on, or leave it out to audit all")
    reward = with_reward(RewardConfig(), mode, no_call, weights(functions))
    verifier = make_verifier(reward.mode, reward.no_call, reward.functions)
    report = audit(verifier, load_prompts(data, part=part)[:rows], reward.deadline_s)
    print(json.dumps(_as_json(report)) if as_json else _text(data, told(reward), report, width), file=out, flush=True)
    report.require_sound()


def _text(data: str, reward: str, report: AuditReport, width: int) -> str:
    notes = report.notes()
    lines = [f"{data}: {report.rows:,} prompts, reward {reward}", "", report.table()]
    lines += [line for note in notes for line in ("", *wrap(note, width))]
    if not report.problems():
        but = "what its rules say apart, " if notes else ""
        sound = f"sound: every reference scores full marks, and {but}nothing that only looks like an answer does"
        lines += ["", *wrap(sound, width)]
    return "\n".join(lines)


def _as_json(report: AuditReport) -> dict[str, object]:
    return {"rows": report.rows, "sound": not report.problems(), "checks": [asdict(check) for check in report.checks]}
