"""From which failures a run recovers by itself, how often, and how it begins anew.

    attempt ─ RunError ─> recoverable? ─ no, or once too often ─> the run ends with it
       ^                      │ yes: a learner or groups that are lost; what diverged, by run.on_divergence; on shared GPUs an engine
       └── newest checkpoint, one more attempt in versions.json ──┘

An attempt after a failure is what a resume is after a kill.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import (
    DeadlineError,
    DisagreementError,
    DivergedError,
    GroupLostError,
    LearnerLostError,
    RolloutError,
    RunError,
    WeightSyncError,
)
from toolrl.monitor.rundir import RunFolder
from toolrl.pipelines import closing
from toolrl.pipelines.preemption import Preemption


class Recovery:
    """Counts how often one driver began its run anew.

    Args:
        config: Settings of the run.
        folder: The run's folder, open.
        store: The run's checkpoints.
        preemption: Told after each attempt that there is no loop to stop. Once a signal has come, nothing is begun anew.
    """

    def __init__(self, config: RlConfig | SftConfig, folder: RunFolder, store: CheckpointStore, preemption: Preemption) -> None:
        self._config, self._folder, self._store, self._preemption = config, folder, store, preemption
        self._rewinds = 0

    async def through(
        self,
        newest: Checkpoint | None,
        *,
        attempt: Callable[[Checkpoint | None, float], Awaitable[None]],
        anew: Callable[[], Awaitable[None]],
        start: float,
    ) -> None:
        """Bring a run to its end, in as many attempts as it takes. Raises what it does not recover from.

        Args:
            newest: The checkpoint to go on from; None: the start model.
            attempt: Goes on from a checkpoint to the end of the run; it is told since when it has been on its way (seconds, monotonic).
            anew: Makes the actors anew that an attempt after a failure needs.
            start: Since when the first attempt has been on its way.
        """
        failure: RunError | None = None
        while True:
            try:
                if failure is not None:
                    newest = await self._begin(failure)
                    with _lost_again():
                        await anew()
                return await attempt(newest, start)
            except RunError as error:
                self._require_recoverable(error)
                failure, start = error, time.monotonic()
            finally:
                self._preemption.ask(None)

    async def _begin(self, failure: RunError) -> Checkpoint | None:
        """Count another attempt, and say why; returns the checkpoint it goes on from."""
        newest = await asyncio.to_thread(self._store.newest)  # every byte is read, and a signal wants to be heard meanwhile
        print(closing.rewinding(failure, newest, self._rewinds, self._config.run.max_rewinds), flush=True)
        self._folder.begin_attempt(str(failure))
        return newest

    def _require_recoverable(self, error: RunError) -> None:
        """Raise `error` where another attempt would not help, is not wanted, or would be one too many."""
        config = self._config.run
        lost = isinstance(error, LearnerLostError | GroupLostError)
        diverged = isinstance(error, DivergedError | DisagreementError) and config.on_divergence == "rewind"
        # On shared GPUs no engine is replaced by itself: all are made anew together with the learner.
        shared = self._config.cluster.colocated and type(error) in (RolloutError, WeightSyncError, DeadlineError)
        if self._preemption.signalled or not (lost or diverged or shared):
            raise error
        if self._rewinds == config.max_rewinds:
            error.add_note(f"rewound {self._rewinds} times already (run.max_rewinds); the same command goes on from the newest checkpoint")
            raise error
        self._rewinds += 1


@contextmanager
def _lost_again() -> Iterator[None]:
    """Take whatever else than a user's mistake actors cannot be made anew of for a lost learner: what took them may still be going on."""
    try:
        yield
    except LearnerLostError:
        raise
    except RunError as failure:
        raise LearnerLostError(f"making the learner anew: {failure}") from failure
