"""Which engines serve, which take part in a push, and which are being replaced: the states of a fleet and the rules between them.

                      ┌──── answered ────┐
                      v                  │
    STALE ─verified─> HEALTHY ─missed─> SUSPECT          STALE: holds weights, but not those that are live; serves nothing
      ^                 │ │                │             HEALTHY: alone gets draws
      ├───── broken ────┘ └───── lost ─────┤             SUSPECT: finishes what it has, gets nothing new
      │  (a push it was in)                v
      └─ started ─ RESTARTING <─restart─ DEAD            any state ─lost─> DEAD

HEALTHY, SUSPECT and STALE are present: they take part in the next push. Only a push that was verified makes an engine serve, so whoever
was replaced, or half loaded by a push that broke, samples nothing until then. `generation` counts the changes of who is present and the
pushes that broke: a transfer group is good for one generation. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from toolrl.errors import DeadlineError, RolloutError


class EngineState(StrEnum):
    """Where an engine stands."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    STALE = "stale"
    DEAD = "dead"
    RESTARTING = "restarting"


class EngineEvent(StrEnum):
    """What happens to an engine."""

    ANSWERED = "answered"  # a health check
    MISSED = "missed"  # a health check
    LOST = "lost"  # its process ended, or it was silent for too long
    RESTART = "restart"  # its replacement begins
    STARTED = "started"  # the replacement has loaded the model
    BROKEN = "broken"  # a push that it was in
    VERIFIED = "verified"  # a push that it was in


_S, _E = EngineState, EngineEvent
RULES: Mapping[tuple[EngineState, EngineEvent], EngineState] = {
    (_S.HEALTHY, _E.ANSWERED): _S.HEALTHY,
    (_S.HEALTHY, _E.MISSED): _S.SUSPECT,
    (_S.HEALTHY, _E.BROKEN): _S.STALE,
    (_S.HEALTHY, _E.VERIFIED): _S.HEALTHY,
    (_S.SUSPECT, _E.ANSWERED): _S.HEALTHY,
    (_S.SUSPECT, _E.MISSED): _S.SUSPECT,
    (_S.SUSPECT, _E.BROKEN): _S.STALE,
    (_S.SUSPECT, _E.VERIFIED): _S.HEALTHY,  # it took part, which is an answer
    (_S.STALE, _E.ANSWERED): _S.STALE,
    (_S.STALE, _E.MISSED): _S.STALE,
    (_S.STALE, _E.BROKEN): _S.STALE,
    (_S.STALE, _E.VERIFIED): _S.HEALTHY,
    (_S.DEAD, _E.RESTART): _S.RESTARTING,
    (_S.RESTARTING, _E.STARTED): _S.STALE,
    **{(state, _E.LOST): _S.DEAD for state in _S},
}
"""What an event makes of a state. A pair that is not here cannot happen: noting it is a bug of ours."""
PRESENT = frozenset({_S.HEALTHY, _S.SUSPECT, _S.STALE})


class Named(Protocol):
    """An engine, as far as membership concerns it."""

    @property
    def name(self) -> str:
        """What it is called, before and after a replacement."""
        ...


E = TypeVar("E", bound=Named)


class Membership(Generic[E]):
    """The states of a fixed set of engines.

    Args:
        engines: All of them; an engine that is replaced keeps its object and its name.
        minimum: Fewest engines with which a run goes on once those that cannot be replaced are given up.
    """

    def __init__(self, engines: Sequence[E], *, minimum: int = 1) -> None:
        self._engines = {engine.name: engine for engine in engines}
        self._states = dict.fromkeys(self._engines, EngineState.STALE)
        self._given_up: dict[str, str] = {}
        self._ends: dict[str, str] = {}
        self._losses = Counter[str]()
        self._minimum = minimum
        self._changed = asyncio.Event()
        self.generation = 0
        """Counts up whenever a transfer group of before is not good any more."""

    @property
    def states(self) -> Mapping[str, EngineState]:
        """The state of each engine, by name."""
        return self._states

    @property
    def present(self) -> tuple[E, ...]:
        """Those that take part in a push, in their order."""
        return tuple(self._engines[name] for name, state in self._states.items() if state in PRESENT)

    @property
    def serving(self) -> tuple[E, ...]:
        """Those that get draws, in their order."""
        return tuple(self._engines[name] for name, state in self._states.items() if state is EngineState.HEALTHY)

    def note(self, engine: Named, event: EngineEvent) -> None:
        """Apply an event. Raises KeyError where the rules know no such event in the engine's state."""
        before = self._states[engine.name]
        after = RULES[before, event]
        self._states[engine.name] = after
        if event is EngineEvent.LOST:
            self._losses[engine.name] += 1
        if event is EngineEvent.BROKEN or (before in PRESENT) != (after in PRESENT):
            self.generation += 1
        if before is not after:
            self._wake()

    def note_all(self, engines: Iterable[Named], event: EngineEvent) -> None:
        """Apply an event to those of `engines` that are present."""
        for engine in engines:
            if self._states[engine.name] in PRESENT:
                self.note(engine, event)

    def lose(self, engine: Named, why: str) -> None:
        """Take an engine out: it is dead, whatever it says later, and `why` is what `last_end` tells of it."""
        self._ends[engine.name] = why
        self.note(engine, EngineEvent.LOST)

    def losses(self, engine: Named) -> int:
        """Return how often an engine was lost."""
        return self._losses[engine.name]

    def last_end(self, engine: Named) -> str:
        """Return why an engine was lost, the last time that it was."""
        return self._ends[engine.name]

    def give_up(self, engine: Named, why: str) -> None:
        """Never wait for a dead engine again; `why` is told once there are fewer than the minimum."""
        self._given_up[engine.name] = why
        self._wake()

    async def until_serving(self, timeout_s: float | None) -> None:
        """Return once an engine serves. Raises RolloutError where too few can, DeadlineError past `timeout_s`."""
        await self._until(lambda: bool(self.serving), "an engine that serves", timeout_s)

    async def until_absent(self, engine: Named, timeout_s: float) -> None:
        """Return once an engine is dead, or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._states[engine.name] in PRESENT:
                    await self._changed.wait()
        except TimeoutError:
            return

    async def until_present(self, timeout_s: float | None) -> None:
        """Return once an engine could take part in a push. Raises as `until_serving` does."""
        await self._until(lambda: bool(self.present), "an engine to push to", timeout_s)

    async def until_stale(self) -> None:
        """Return once a present engine waits for a verified push. Raises RolloutError where too few engines are left."""
        await self._until(lambda: EngineState.STALE in self._states.values(), "a stale engine", None)

    def require_enough(self) -> None:
        """Raise RolloutError where fewer than the minimum can ever serve again."""
        left = len(self._engines) - len(self._given_up)
        if left < self._minimum:
            each = "\n".join(f"  {name}: {why}" for name, why in self._given_up.items())
            raise RolloutError(
                f"{left} of {len(self._engines)} engines are left, engine.min_num={self._minimum}; these could not be replaced:\n{each}"
            )

    def told(self) -> str:
        """Return how many engines are in which state, for errors and the console."""
        counts = {state: list(self._states.values()).count(state) for state in EngineState}
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count)

    async def _until(self, holds: Callable[[], bool], what: str, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self.require_enough()
                    if holds():
                        return
                    await self._changed.wait()
        except TimeoutError as error:
            raise DeadlineError(f"waited {timeout_s:g} s for {what}; engines: {self.told()}") from error

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
