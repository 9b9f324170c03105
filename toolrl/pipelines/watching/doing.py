"""What a run does now, in a few words: from its status file where it has one, else from how old its newest version is.

    summary.json or `end` ─> how it ended      status.json, written lately ─> stage, waits      neither ─> the age of the last line

Ages are by two clocks, that of the run's machine and this one. A file that is seen to change tells that a run is alive, whatever they say.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from toolrl.monitor.readable import SUMMARY
from toolrl.monitor.status import CLOSING, EXPORTING, LOADING, STARTING, STATUS, WRITING, Status
from toolrl.monitor.supervised_console import duration
from toolrl.pipelines.watching.watched import WatchedRun

SILENT_S = 20.0
"""A status that was not written for so long is of a driver that was killed, or cannot reach the folder."""
QUIET_S = 60.0
QUIET_STEPS = 10
"""Without a status: no version for this long, and for this many steps, is more than a slow step."""
GOOD, BAD, PLAIN = "bold green", "bold red", "bold"
_STAGES = {
    "wait_generation": "waiting for groups",
    "learner": "training the batch",
    "push": "pushing the weights",
    "eval": "evaluating on held-out prompts",
    "checkpoint": "saving a checkpoint",
    STARTING: "starting the actors",
    LOADING: "going to where the run stands",
    WRITING: "writing rollouts and metrics",
    EXPORTING: "exporting the model",
    CLOSING: "making summary and curves",
}


@dataclass(frozen=True, slots=True)
class Doing:
    """The state of a run."""

    state: str
    """running, ended, failed, … in one or two words."""
    style: str
    told: str
    """What it does, or did last."""


def doing(run: WatchedRun, now: float, clock: float) -> Doing:
    """Return what a run does at the time `now` (seconds since 1970) that is `clock` on the clock of `run`."""
    status = run.status
    if status is not None and status.end is not None:
        return _ended(status, now)
    if status is None and run.summary is not None:
        return Doing("ended", GOOD, f"{SUMMARY} is written; the last version was made {_ago(run, now)}")
    if status is not None:
        return _of_status(run, status, now, clock)
    return _of_age(run, now)


def _ended(status: Status, now: float) -> Doing:
    assert status.end is not None
    style = GOOD if status.end.how == "ended" else BAD
    why = f": {status.end.error}" if status.end.error else ""
    return Doing(status.end.how, style, f"{duration(max(0.0, now - status.end.time))} ago{why}")


def _of_status(run: WatchedRun, status: Status, now: float, clock: float) -> Doing:
    silent_s = max(0.0, now - status.written)
    if STATUS in run.changed:
        silent_s = min(silent_s, clock - run.changed[STATUS])
    stage = _STAGES.get(status.stage, status.stage)
    if silent_s > SILENT_S:
        told = f"its status was last written {duration(silent_s)} ago while {stage}; process {status.pid} on {status.host}"
        return Doing("silent: killed?", BAD, told)
    parts = [f"{stage} for {duration(max(0.0, status.written - status.since))}"]
    parts += [f"sampling {status.sampling}" if status.sampling else "", f"scoring {status.scoring}" if status.scoring else ""]
    for wait in status.waits[:1]:
        on = f" ({', '.join(wait.on[:4])}{', …' if len(wait.on) > 4 else ''})" if wait.on else ""
        limit = f" of {duration(wait.deadline_s)}" if wait.deadline_s else ""
        parts.append(f"waits {duration(max(0.0, status.written - wait.since))}{limit} for {wait.what}{on}")
    return Doing("running", GOOD, "; ".join(part for part in parts if part))


def _of_age(run: WatchedRun, now: float) -> Doing:
    if run.version is None:
        return Doing("starting", PLAIN, "no version yet")
    age_s, step_s = max(0.0, now - (run.seen.newest.get("time") or now)), typical_step_s(run)
    told = f"the last version was made {duration(age_s)} ago" + (f"; a step takes {duration(step_s)}" if step_s >= 1 else "")
    if age_s > max(QUIET_S, QUIET_STEPS * step_s):
        return Doing("quiet: stopped?", BAD, told)
    return Doing("running", GOOD, told)


def _ago(run: WatchedRun, now: float) -> str:
    made = run.seen.newest.get("time")
    return "at an unknown time" if made is None else f"{duration(max(0.0, now - made))} ago"


def typical_step_s(run: WatchedRun) -> float:
    """Return the median seconds of the newest steps, evaluation included; 0 where none was trained."""
    steps = _steps_s(run)
    return statistics.median(steps) if steps else 0.0


def left_s(run: WatchedRun) -> float | None:
    """Return the seconds to the end as the newest steps tell, None where there is nothing to tell from."""
    steps = _steps_s(run)
    if not steps or run.version is None or run.version >= run.steps:
        return None
    return (run.steps - run.version) * statistics.fmean(steps)


def _steps_s(run: WatchedRun) -> list[float]:
    return [(line.get("loop/step_s") or 0.0) + (line.get("loop/eval_s") or 0.0) for line in run.seen.recent]
