"""When a request may go out: the oldest ask first, at the pace that is set, and slower once the endpoint says that it is too much.

    turn(number) ─ waits for a place in the order, the gap to the last one, room ─> goes out ─┬─ answered: more room, by one in a round
          ^                                                                                   │
          └───── nobody before the time that the endpoint named, and half of the room <───────┴─ hold

Room grows and shrinks as a congestion window does (additive increase, multiplicative decrease), so that many asks under a limit that
nobody told us do not all run into it each time it opens. Whoever was refused goes first then, and so is not refused for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush


class Pace:
    """Lets requests go out. Belongs to one event loop.

    Args:
        most: Requests that are out at once.
        per_minute: Requests that go out in a minute, evenly spread; 0: no limit of ours.
    """

    def __init__(self, *, most: int, per_minute: float) -> None:
        self._most = float(most)
        self._gap_s = 60 / per_minute if per_minute else 0.0
        self._room = float(most)
        self._out = 0
        self._next_at = self._held_until = 0.0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.held_s = 0.0
        """Seconds in which nobody might go, because the endpoint said so."""

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[None]:
        """Wait for the turn of the ask `number`, and be out until the body ends; lower numbers go first."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (number, granted))
        self._let_go()
        try:
            await granted
            yield
        finally:
            if granted.done() and not granted.cancelled():
                self._out -= 1
                self._let_go()

    def answered(self) -> None:
        """Tell of an answer; call it while the request is out."""
        self._room = min(self._most, self._room + 1 / self._room)

    def hold(self, seconds: float) -> None:
        """Let nobody go for `seconds`; call it while the refused request is out. Refusals of one burst count as one."""
        now = time.monotonic()
        if now >= self._held_until:
            self._room = max(1.0, self._room / 2)
        until = max(self._held_until, now + seconds)
        self.held_s += until - max(self._held_until, now)
        self._held_until = until

    @property
    def held_for_s(self) -> float:
        """Seconds until somebody may go again; 0 where nobody is held."""
        return max(0.0, self._held_until - time.monotonic())

    def _let_go(self) -> None:
        while self._waiting and self._out < int(self._room):
            now = time.monotonic()
            if (wait_s := max(self._next_at, self._held_until) - now) > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait_s, self._woken)
                return
            _, granted = heappop(self._waiting)
            if not granted.done():  # else whoever waited was cancelled
                granted.set_result(None)
                self._out += 1
                self._next_at = now + self._gap_s

    def _woken(self) -> None:
        self._timer = None
        self._let_go()
