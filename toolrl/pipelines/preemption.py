"""SIGTERM, as schedulers send it before they take the machines back: save, and end in a way that a launcher may take as "start me again".

SIGTERM ─> the loop is asked to stop ─> its last checkpoint ─> PreemptedError: exit code 75
│ while there is no loop: ends at once, nothing is lost
└ past the deadline: ends without that checkpoint; the one before is whole
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from toolrl.errors import PreemptedError, RunError


class Preemption:
    """Watches over one run for SIGTERM. Enter it once the cluster is joined, since Ray has a handler of its own.

    Args:
        timeout_s: Longest time from the first signal to the end; schedulers kill after one of their own.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._ask: Callable[[], None] | None = None
        self._given_up = ""
        self.signalled = False
        """Whether the run is to end: nothing is begun anew from then on."""

    def ask(self, stop: Callable[[], None] | None) -> None:
        """From now on there is a loop, and `stop` asks it to save and end; None: there is none, and all that counts is saved."""
        self._ask = stop

    async def watch(self, run: Coroutine[Any, Any, None]) -> None:
        """Await `run`.

        Raises PreemptedError where a signal came before `ask`, or the run failed or did not end in time after one: schedulers send it to
        every process of a job, so engines and ranks may be gone before the driver has saved.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(run, name="run")
        loop.add_signal_handler(signal.SIGTERM, self._signalled, task)
        try:
            await task
        except PreemptedError:
            raise
        except RunError as failure:
            if not self.signalled:
                raise
            first = str(failure).partition("\n")[0]
            raise PreemptedError(
                f"preempted, and the run failed before it was saved ({first}); the same command goes on from the checkpoint before"
            ) from failure
        except asyncio.CancelledError as cancelled:
            if not self._given_up:
                raise
            raise PreemptedError(self._given_up) from cancelled
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    def _signalled(self, task: asyncio.Task[None]) -> None:
        if self.signalled:
            return
        self.signalled = True
        if self._ask is None:
            self._give_up(task, "preempted while nothing was trained: nothing is lost, and the same command goes on")
            return
        print(f"SIGTERM: saving, for up to {self._timeout_s:g} s …", flush=True)
        self._ask()
        late = (
            f"preempted, and no checkpoint was written within checkpoint.preempt_timeout_s={self._timeout_s:g} s; "
            "the same command goes on from the one before"
        )
        asyncio.get_running_loop().call_later(self._timeout_s, self._give_up, task, late)

    def _give_up(self, task: asyncio.Task[None], why: str) -> None:
        self._given_up = why
        task.cancel()
