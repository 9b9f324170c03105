"""From which failures a run recovers by itself, how often, and how it begins anew.

    attempt ─ RunError ─> recoverable? ─ no, or once too often ─> the run ends with it
       ^                      │ yes: a learner that is lost; with run.on_divergence=rewind what diverged; on shared GPUs an engine, too
       └── newest checkpoint, one more attempt in versions.json ──┘

An attempt after a failure is what a resume is after a kill.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import DeadlineError, DisagreementError, DivergedError, LearnerLostError, RolloutError, RunError, WeightSyncError
from toolrl.monitor.rundir import RunFolder
from toolrl.pipelines import closing
from toolrl.pipelines.preemption import Preemption

Attempt = Callable[[RunError | None, float], Awaitable[None]]
"""Goes on to the end of the run: after which failure (None: the first start), and since when (seconds, of the monotonic clock)."""


class Recovery:
    """Counts how often one driver began its run anew.

    Args:
        config: Settings of the run.
        folder: The run's folder, open.
        store: The run's checkpoints.
        preemption: Told after each attempt that there is no loop to stop.
    """

    def __init__(self, config: RlConfig | SftConfig, folder: RunFolder, store: CheckpointStore, preemption: Preemption) -> None:
        self._config, self._folder, self._store, self._preemption = config, folder, store, preemption
        self._rewinds = 0

    async def through(self, attempt: Attempt) -> None:
        """Await an `attempt`, and another after each failure that the run recovers from. Raises what it does not."""
        failure: RunError | None = None
        start = time.monotonic()
        while True:
            try:
                return await attempt(failure, start)
            except RunError as error:
                self._require_recoverable(error)
                failure, start = error, time.monotonic()
            finally:
                self._preemption.ask(None)

    async def begin(self, failure: RunError) -> Checkpoint | None:
        """Count another attempt, and say why; returns the checkpoint it goes on from, None: the start model."""
        newest = await asyncio.to_thread(self._store.newest)  # every byte is read, and a signal wants to be heard meanwhile
        print(closing.rewinding(failure, newest, self._rewinds, self._config.run.max_rewinds), flush=True)
        self._folder.begin_attempt(str(failure))
        return newest

    def _require_recoverable(self, error: RunError) -> None:
        """Raise `error` where another attempt would not help, is not wanted, or would be one too many."""
        config = self._config.run
        lost = isinstance(error, LearnerLostError)
        diverged = isinstance(error, DivergedError | DisagreementError) and config.on_divergence == "rewind"
        # On shared GPUs no engine is replaced by itself: all are made anew together with the learner.
        shared = self._config.cluster.colocated and type(error) in (RolloutError, WeightSyncError, DeadlineError)
        if not (lost or diverged or shared):
            raise error
        if self._rewinds == config.max_rewinds:
            error.add_note(f"rewound {self._rewinds} times already (run.max_rewinds); the same command goes on from the newest checkpoint")
            raise error
        self._rewinds += 1
