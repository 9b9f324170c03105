"""status.json: what a run is doing now, or was doing when it ended; written by its driver, read by `toolrl doctor` and `toolrl watch`.

    {"written": …, "beat": …, "host": …, "pid": …, "attempt": 1, "stage": "learner", "since": …, "version": 12, "steps": 100, …
     "actors": [{"name": "engine-0", "role": "engine", "state": "healthy", "host": …, "pid": …, "answered": …, "calls": 16}, …],
     "waits": [{"what": "training a batch", "on": ["learner-0", "learner-1"], "since": …, "deadline_s": 600.0, "setting": …}, …],
     "failures": [{"time": …, "what": "sampling draw 17: engine-1 has died: …", "on": ["engine-1"], "times": 3}], "end": null}

Times are seconds since 1970 by the clock of the driver's machine. The classes below are the format: a key for each field. Keys that a
reader does not know are passed over. The file is small whatever the size of the run: an entry for each actor, and of waits and failures the
first few.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from toolrl.errors import RunFolderError
from toolrl.monitor.jsonfile import read_if_there

STATUS = "status.json"
REMEDY = "remove it: the run writes it anew, and nothing else needs it"
STARTING, LOADING, WRITING, EXPORTING, CLOSING = "starting", "loading", "writing", "exporting", "closing"
"""Stages beside those of the loop (`controller.stopwatch.STAGES`): the actors come up; they go to where the run stands; between two stages
of the loop, rollouts and metrics are written; the model is exported; summary and curves are made."""
Ending = Literal["ended", "failed", "refused", "preempted", "interrupted", "crashed"]
"""It trained to its end; a part failed; a user's mistake; SIGTERM; Ctrl-C; an error of ours."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A number, and neither NaN nor infinite: Python's JSON has both."""
Pid = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """One actor."""

    name: str
    """engine-0, reward-3, learner-1."""
    role: str
    """engine, reward, learner."""
    state: str
    """Of an engine: that of its membership (healthy, suspect, stale, dead, restarting). Of others: starting, then up."""
    host: str
    """Name of its machine; empty: not known (yet)."""
    node: str
    """Address of its Ray node; empty: not known (yet)."""
    pid: Pid
    """Its process there; 0: not known (yet)."""
    answered: Seconds | None
    """When it last answered a call; None: it has not yet."""
    calls: int
    """Calls that it has not answered yet: of an engine, about the draws in flight."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that the driver waits for."""

    what: str
    on: tuple[str, ...]
    """Actors that have not answered yet."""
    since: Seconds
    deadline_s: Seconds
    setting: str
    """Which setting the deadline is; may be empty."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An actor that failed its driver, whether or not the run got over it."""

    time: Seconds
    """The last time."""
    what: str
    """The error, with the actor's last words."""
    on: tuple[str, ...]
    """Who had not answered when it was raised."""
    times: int
    """How often the same kind of call to the same actors failed."""


@dataclass(frozen=True, slots=True)
class End:
    """How the driver ended."""

    time: Seconds
    how: Ending
    error: str
    """What it told, notes included; empty where it trained to its end."""


@dataclass(frozen=True, slots=True)
class Status:
    """The whole file."""

    written: Seconds
    beat: Seconds | None
    """When the driver's event loop last turned; None: before it does, or after."""
    host: str
    pid: Pid
    """The driver."""
    attempt: int
    stage: str
    since: Seconds
    """When the stage began."""
    version: int
    """Live, or being made live."""
    steps: int
    """The version at which the run ends."""
    draws_taken: int
    sampling: int
    """Draws at the engines."""
    scoring: int
    """Groups at the reward workers, those that wait for one included."""
    actors: tuple[ActorStatus, ...]
    waits: tuple[Wait, ...]
    """The oldest, oldest first."""
    failures: tuple[Failure, ...]
    """The latest, latest first."""
    end: End | None
    """None: it is running, or was killed without a word."""


def read_status(run: Path) -> Status | None:
    """Return status.json of the run in folder `run`; None where there is none. Raises RunFolderError where it is damaged."""
    path = run / STATUS
    found = read_if_there(path, remedy=REMEDY)
    if found is None:
        return None
    try:
        return msgspec.convert(found, Status)
    except msgspec.ValidationError as error:
        raise RunFolderError(f"{path}: {error}; {REMEDY}") from error
