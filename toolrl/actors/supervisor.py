"""Watches over the engines of a run, and replaces those that die or hang while the others go on.

    health check ─ answered ─> (wait) ─> health check …            one task for each engine
         │ missed for engine.health_timeout_s, or died, or a draw says so
         v
    killed ─> another process in the same bundle ─> loads the model ─> STALE, until the next verified push
         ^── its start failed ──┘     engine.max_restarts of them, then it is given up

A health check is a call that an engine's core answers between two steps; it waits behind no draw. While weights are pushed there are
none: a core that loads weights answers nothing, and the push has deadlines of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from toolrl.actors.engine import EngineHandle
from toolrl.config.schema import EngineConfig
from toolrl.errors import DeadlineError, RunError, ToolRLError
from toolrl.weights.gate import Gate
from toolrl.weights.membership import PRESENT, EngineEvent, Membership

LONGEST_PAUSE_S = 60.0
"""Between two attempts to replace an engine: they double from one second up to this."""

logger = logging.getLogger(__name__)


class Supervisor:
    """Replaces engines.

    Args:
        engines: All of them.
        members: Their states.
        gate: Shut while weights are pushed.
        config: Section `engine` of the configuration.
    """

    def __init__(self, engines: Sequence[EngineHandle], members: Membership[EngineHandle], gate: Gate, config: EngineConfig) -> None:
        self.replaced = 0
        """Processes of engines that were replaced."""
        self._engines = tuple(engines)
        self._members = members
        self._gate = gate
        self._config = config
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch, once the engines have started."""
        for engine in self._engines:
            task = asyncio.create_task(self._watch(engine), name=f"supervision of {engine.name}")
            task.add_done_callback(lambda ended, engine=engine: self._ended(engine, ended))  # type: ignore[misc] # binds the loop's value
            self._tasks.append(task)

    async def stop(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def lost(self, engine: EngineHandle, incarnation: int, failure: RunError) -> bool:
        """Say whether `failure` of a draw was the end of the engine's process `incarnation`; if so, the engine is taken out.

        A draw past its deadline is: an engine that is well answers in that time. Another failure is the draw's own, if the engine is well.
        """
        if engine.incarnation != incarnation or self._members.states[engine.name] not in PRESENT:
            return True
        if not isinstance(failure, DeadlineError):
            try:
                await engine.health(timeout_s=self._config.health_timeout_s)
            except RunError:
                pass  # what is told is the failure that came first
            else:
                return False
        if engine.incarnation == incarnation and self._members.states[engine.name] in PRESENT:
            self._members.lose(engine, str(failure))
        return True

    async def _watch(self, engine: EngineHandle) -> None:
        """Consumes health checks; waits between them; is unblocked by a loss; produces replacements until it gives up."""
        for restart in range(self._config.max_restarts + 1):
            await self._until_lost(engine)
            if restart == self._config.max_restarts:
                break
            await self._replace(engine, restart)
        last_end = self._members.last_end(engine)
        self._members.give_up(engine, f"replaced {self._config.max_restarts} times (engine.max_restarts); the last end: {last_end}")

    async def _until_lost(self, engine: EngineHandle) -> None:
        """Return once the engine is dead."""
        answered = time.monotonic()
        while self._members.states[engine.name] in PRESENT:
            await self._members.until_absent(engine, self._config.health_every_s)
            if not self._gate.is_open or self._members.states[engine.name] not in PRESENT:
                answered = time.monotonic()
                continue
            try:
                await engine.health(timeout_s=self._config.health_every_s)
            except DeadlineError as error:
                silent_s = time.monotonic() - answered
                if self._members.states[engine.name] not in PRESENT or not self._gate.is_open:
                    continue
                if silent_s >= self._config.health_timeout_s:
                    self._members.lose(engine, f"silent for {silent_s:.0f} s: {error}")
                else:
                    self._members.note(engine, EngineEvent.MISSED)
            except RunError as error:
                if self._members.states[engine.name] in PRESENT:
                    self._members.lose(engine, str(error))
            else:
                answered = time.monotonic()
                if self._members.states[engine.name] in PRESENT:
                    self._members.note(engine, EngineEvent.ANSWERED)

    async def _replace(self, engine: EngineHandle, restart: int) -> None:
        """Make one attempt at a replacement; it leaves the engine STALE or DEAD."""
        if restart:
            await asyncio.sleep(min(2.0 ** (restart - 1), LONGEST_PAUSE_S))
        last_end = self._members.last_end(engine)
        logger.warning("%s is replaced (%d of %d): %s", engine.name, restart + 1, self._config.max_restarts, last_end)
        self._members.note(engine, EngineEvent.RESTART)
        self.replaced += 1
        engine.renew()
        try:
            await engine.start(timeout_s=self._config.start_timeout_s)
        except ToolRLError as error:
            self._members.lose(engine, f"its replacement did not start: {error}")
        else:
            self._members.note(engine, EngineEvent.STARTED)

    def _ended(self, engine: EngineHandle, task: asyncio.Task[None]) -> None:
        """Let nobody wait for an engine whose supervision ended by an error of ours."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._members.give_up(engine, f"{task.get_name()} ended: {type(failure).__name__}: {failure}")
