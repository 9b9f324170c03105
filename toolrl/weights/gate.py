"""The admission of draws to the engines: shut while weights are in doubt.

    pool:       async with gate: … engine.sample(draw) …      waits here while the gate is shut
    publisher:  gate.shut() ─> push, verify ─> gate.open()    and stays shut where the verification fails

A gate starts shut, so nothing is sampled before the first verified push. It counts who is inside, so that a push may wait for all to leave.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Gate:
    """Lets draws in while it is open. Belongs to one event loop."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._inside = 0

    @property
    def is_open(self) -> bool:
        """Whether draws are let in."""
        return self._open.is_set()

    @property
    def inside(self) -> int:
        """Draws let in that have not left."""
        return self._inside

    def shut(self) -> None:
        """Let nobody in until `open`. Those inside stay."""
        self._open.clear()

    def open(self) -> None:
        """Let in those who wait, and all who come."""
        self._open.set()

    async def drained(self) -> None:
        """Return once nobody is inside. Shut the gate first, or this may never be."""
        await self._empty.wait()

    async def __aenter__(self) -> None:
        """Wait until the gate is open, then be inside."""
        while not self._open.is_set():  # it may have been shut again before this waiter woke
            await self._open.wait()
        self._inside += 1
        self._empty.clear()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave."""
        self._inside -= 1
        if self._inside == 0:
            self._empty.set()
