"""The draws in flight, in draw order, and how many of them there should be.

    launch ─> [cursor, cursor + 1, …] ─> next(): the oldest, waited for

A draw remembers the version that was live when it was launched. One that would be trained too late is cancelled and launched again under
the same number, so the bound on staleness holds however many are drawn ahead, and which group comes next never depends on it.
Everything here is a function of the groups taken so far, in draw order: never of which group happened to finish first.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from toolrl.config.schema import LoopConfig
from toolrl.types import ScoredGroup, WeightVersion

RECENT_BATCHES = 16
"""Batches' worth of draws that say how many of the next ones will be dull."""
PRIOR_GROUPS = 4
"""Groups assumed to have taught something before the first was seen, so that one dull group is not a share of 1."""
MAX_DULL_SHARE = 0.9
"""At most about ten draws for a group that teaches: beyond that, engines would fill with work that is thrown away."""


def draws_for(groups: int, dull_share: float) -> int:
    """Return how many draws hold `groups` groups that teach, with one standard deviation to spare.

    The smallest n with `n(1 - q) - sqrt(n·q(1 - q)) >= groups`, q being the share of dull groups (binomial). The margin costs some
    samples; a shortage costs a wave: the engines all but empty for the length of one more group.

    >>> draws_for(16, 0.0), draws_for(16, 0.5), draws_for(1, 0.5)
    (16, 39, 4)
    """
    if groups <= 0:
        return 0
    teaching = 1 - dull_share
    spread = math.sqrt(dull_share * teaching)
    root = (spread + math.sqrt(spread**2 + 4 * teaching * groups)) / (2 * teaching)
    return math.ceil(root**2 - 1e-9)  # the square of a root may land a rounding error above a whole number


@dataclass(frozen=True)
class _Flight:
    launched: WeightVersion
    task: asyncio.Task[ScoredGroup]


class Window:
    """Draws from `cursor` on: launched, waited for in order, cancelled when they grow too old.

    Args:
        loop: Says whether dull groups are replaced, and the size of a batch.
        cursor: The next draw to be taken.
        launch: Starts sampling and scoring a draw.
    """

    def __init__(self, loop: LoopConfig, cursor: int, launch: Callable[[int], asyncio.Task[ScoredGroup]]) -> None:
        self.cursor = cursor
        self._refill = loop.refill
        self._launch = launch
        self._flights: dict[int, _Flight] = {}
        self._recent: deque[bool] = deque(maxlen=RECENT_BATCHES * loop.prompts_per_batch)

    @property
    def dull_share(self) -> float:
        """Share of draws expected to be dull and replaced; 0 where none is replaced."""
        if not self._refill:
            return 0.0
        return min(MAX_DULL_SHARE, sum(self._recent) / (len(self._recent) + PRIOR_GROUPS))

    @property
    def unfinished(self) -> int:
        """Groups still being sampled or verified."""
        return sum(not flight.task.done() for flight in self._flights.values())

    def fill(self, version: WeightVersion, batch: int, slots: int) -> None:
        """Launch under the live `version` what is missing for `batch` groups to train now and `slots` groups in all.

        Only the batch to train now has a margin. Later ones get theirs when it is their turn: drawn now, it would be too old by then.
        """
        target = max(draws_for(batch, self.dull_share), math.ceil(slots / (1 - self.dull_share) - 1e-9))
        end = max(self.cursor + target, max(self._flights, default=-1) + 1)  # whatever was cancelled in between included
        for number in range(self.cursor, end):
            if number not in self._flights:
                self._flights[number] = _Flight(version, self._launch(number))

    def top_up(self, version: WeightVersion, missing: int) -> None:
        """Launch more once those in flight are expected to fall short of the `missing` groups of this batch: the margin goes first."""
        if len(self._flights) * (1 - self.dull_share) < missing:
            self.fill(version, missing, missing)

    async def next(self) -> ScoredGroup:
        """Take the oldest draw; waits until it is scored. Raises what ended its task."""
        scored = await self._flights.pop(self.cursor).task
        self.cursor += 1
        self._recent.append(scored.dull)
        return scored

    def expire(self, oldest: WeightVersion) -> None:
        """Cancel every draw launched before version `oldest`; `fill` launches it again."""
        for number in [number for number, flight in self._flights.items() if flight.launched < oldest]:
            self._flights.pop(number).task.cancel()

    def close(self) -> None:
        """Cancel whatever is in flight."""
        for flight in self._flights.values():
            flight.task.cancel()
        self._flights.clear()
