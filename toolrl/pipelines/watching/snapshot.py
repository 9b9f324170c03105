"""What `toolrl watch --json` prints: the same as the screen, as values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.doing import doing, left_s
from toolrl.pipelines.watching.groups import GroupLine
from toolrl.pipelines.watching.screen import PAGE_GROUPS, Moment
from toolrl.pipelines.watching.watched import WatchedRun


def snapshot(run: WatchedRun, browser: Browser, moment: Moment) -> dict[str, Any]:
    """Return JSON values; what a run of its kind never has is None or empty."""
    state = doing(run, moment.now, moment.clock)
    try:
        groups, trouble = [_group(line) for line in browser.around(PAGE_GROUPS)], {}
    except RunFolderError as error:
        groups, trouble = [], {"rollouts": str(error)}
    return {
        "run": str(run.path),
        "command": run.kind,
        "state": state.state,
        "told": state.told,
        "version": run.version,
        "steps": run.steps,
        "left_s": left_s(run),
        "attempts": len(run.attempts),
        "metrics": run.seen.newest,
        "heldout": {name: value for name, value in run.seen.heldout.items() if name == "version" or name.startswith("heldout/")},
        "curves": {name: {"version": each.versions, "value": each.values} for name, each in sorted(run.seen.series.items()) if each.values},
        "groups": groups,
        "status": None if run.status is None else asdict(run.status),
        "troubles": {**run.troubles, **trouble},
    }


def _group(line: GroupLine) -> dict[str, Any]:
    return {
        "version": line.key.version,
        "draw": line.key.draw,
        "prompt": line.prompt_id,
        "trained": line.trained,
        "rewards": line.rewards,
        "reasons": line.reasons,
        "tokens": line.tokens,
    }
