"""The driver's side of status.json: what the run does now, from those who know, and at the end how it ended.

pipeline ─ enter(stage) ─┐
loop ─ on_stage ─────────┼─> Reporter ─ look() ─> StatusFile ─> status.json
engines, workers, calls ─┘    in the writer's thread: reads what is there, waits for nobody
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from toolrl.actors.progress import CALLS
from toolrl.actors.whereabouts import Whereabouts
from toolrl.errors import PreemptedError, RunError, UserError
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.status import CLOSING, STARTING, STATUS, WRITING, ActorStatus, End, Ending, Failure, Status, Wait
from toolrl.monitor.status_file import StatusFile
from toolrl.types import RunState

MOST_WAITS = 20
MOST_FAILURES = 8
BEAT_S = 1.0
LONGEST_ERROR = 8000
_SAMPLING = "engine.sample_timeout_s"
"""By its deadline a call is told that samples a draw."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Who knows how a run stands. Called in another thread than the loop's, so none of them may change or await anything."""

    state: Callable[[], RunState] = RunState
    engines: Callable[[], Mapping[str, str]] = dict
    """States of engines by name."""
    scoring: Callable[[], int] = int
    """Groups at the reward workers."""


class Reporter:
    """Keeps status.json of the run in `folder`, which trains to version `steps`: a context manager around all that the driver does."""

    def __init__(self, folder: RunFolder, steps: int) -> None:
        self._folder, self._steps = folder, steps
        self._sources = Sources()
        self._stage = STARTING, time.time()
        self._beat: float | None = None
        self._end: End | None = None
        CALLS.clear()

    def follow(self, sources: Sources) -> None:
        """From now on ask these."""
        self._sources = sources

    def enter(self, stage: str) -> None:
        """Note that a stage begins."""
        self._stage = stage or WRITING, time.time()
        self._file.changed()

    def beat(self) -> None:
        """Note that the event loop turns, now and again and again."""
        self._beat = time.time()
        asyncio.get_running_loop().call_later(BEAT_S, self.beat)

    def close_up(self) -> None:
        """Note that the event loop has done its work, and all that is left is to tell what came of it."""
        self._beat = None
        self.enter(CLOSING)

    def __enter__(self) -> Reporter:
        self._places = Whereabouts()
        self._file = StatusFile(self._folder.path / STATUS, self.look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        told = "" if error is None else "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
        self._end = End(time.time(), _how(error), told[:LONGEST_ERROR])
        self._places.close()
        self._file.close()

    def look(self) -> Status:
        """Return what the run does now."""
        now, monotonic = time.time(), time.monotonic()
        calls, known, failed = CALLS.open.copy(), CALLS.actors.copy(), CALLS.failed.copy()
        on = [(call, tuple(call.on.copy())) for call in calls.values()]
        state, engines = self._sources.state(), dict(self._sources.engines())
        (stage, since), age = self._stage, now - monotonic
        self._places.keep({each.actor_id for each in known.values()})
        busy = Counter(name for _, names in on for name in names)
        actors = []
        for name, actor in known.items():
            place, role = self._places.of(actor.actor_id), name.rpartition("-")[0]
            up = "starting" if actor.answered is None else "up"
            answered = None if actor.answered is None else actor.answered + age
            condition = str(engines.get(name, up))
            actors.append(ActorStatus(name, role, condition, place.host, place.node, place.pid, answered, busy[name]))
        oldest = sorted(on, key=lambda each: each[0].since)[:MOST_WAITS]
        latest = sorted(failed.values(), key=lambda each: each.at, reverse=True)[:MOST_FAILURES]
        return Status(
            written=now,
            beat=self._beat,
            host=socket.gethostname(),
            pid=os.getpid(),
            attempt=self._folder.attempt,
            stage=stage,
            since=since,
            version=state.version,
            steps=self._steps,
            draws_taken=state.draws_taken,
            sampling=sum(call.setting == _SAMPLING for call, _ in on),
            scoring=self._sources.scoring(),
            actors=tuple(sorted(actors, key=lambda each: each.name)),
            waits=tuple(Wait(call.what, names, call.since + age, call.deadline_s, call.setting) for call, names in oldest),
            failures=tuple(Failure(each.at + age, each.error, each.on, each.times) for each in latest),
            end=self._end,
        )


def _how(error: BaseException | None) -> Ending:
    """Return in a word how a driver ends that leaves with `error`."""
    if error is None:
        return "ended"
    kinds: tuple[tuple[type[BaseException], Ending], ...] = (
        (PreemptedError, "preempted"),
        (RunError, "failed"),
        (UserError, "refused"),
        (KeyboardInterrupt, "interrupted"),
    )
    return next((word for kind, word in kinds if isinstance(error, kind)), "crashed")
