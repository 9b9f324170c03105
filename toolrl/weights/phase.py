"""One phase of what engines and learner do together: all parties at once, and a name for whoever fails or stays silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from toolrl.errors import DeadlineError, ToolRLError, WeightSyncError

T = TypeVar("T")

WORDS = 1.1
"""Times the deadline: a party that has the same one itself says more of who is silent than can be said here, and needs a moment for it."""


async def phase(what: str, parties: Mapping[str, Awaitable[T]], timeout_s: float) -> dict[str, T]:
    """Await all `parties` (name -> what it does); the first failure ends the phase. `what` names it in errors.

    Raises:
        DeadlineError: Someone did not answer within `timeout_s`; names them.
        WeightSyncError: Someone failed with an error of its own. A ToolRLError travels on as it is.
    """
    tasks = {asyncio.ensure_future(awaitable): name for name, awaitable in parties.items()}
    try:
        done, late = await asyncio.wait(tasks, timeout=WORDS * timeout_s, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()  # no effect on those that are done
    for task in done:
        error = task.exception()
        if isinstance(error, ToolRLError):
            raise error
        if error:
            raise WeightSyncError(f"{what}: {tasks[task]} failed: {error!r}") from error
    if late:
        names = ", ".join(sorted(tasks[task] for task in late))
        raise DeadlineError(f"{what}: no answer from {names} within {timeout_s:g} s")
    return {name: task.result() for task, name in tasks.items()}
