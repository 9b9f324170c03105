"""The pool that hands draws to engines, and draws them again where one dies.

    sample(draw) ─> gate (shut while weights are pushed) ─> the serving engine with the fewest outstanding tokens ─> GroupRef
                        ^                                        │ died, or hung              └─ the Group stays in the object store
                        └── same number, same seeds ─────────────┘

A draw waits at the gate, then in vLLM: all free draws are in flight at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from toolrl.actors.engine import EngineHandle
from toolrl.actors.gauges import Reading
from toolrl.actors.supervisor import Supervisor
from toolrl.errors import DeadlineError, RolloutError, ToolRLError, UserError
from toolrl.types import Draw, GroupRef, Sampling
from toolrl.weights.gate import Gate
from toolrl.weights.membership import EngineEvent, EngineState, Membership

DRAW_ATTEMPTS = 3
"""Engines that one draw may be lost with; what kills so many is the draw."""


class EnginePool:
    """Implements `protocols.Engines` over one or more engines.

    Args:
        engines: All of them.
        members: Their states.
        gate: The admission of draws.
        supervisor: Replaces engines; None: one that is lost ends the run.
    """

    def __init__(
        self, engines: Sequence[EngineHandle], members: Membership[EngineHandle], gate: Gate, supervisor: Supervisor | None = None
    ) -> None:
        self._engines = tuple(engines)
        self._members = members
        self._gate = gate
        self._supervisor = supervisor
        self._redrawn = 0

    async def start(self, *, timeout_s: float) -> None:
        """Load the model into every engine that has none; supervised, those that fail are replaced while the others serve.

        Raises:
            UserError: The model cannot be loaded.
            RolloutError, DeadlineError: No engine came up, or, without a supervisor, not all of them.
        """
        results = await asyncio.gather(*(engine.start(timeout_s=timeout_s) for engine in self._engines), return_exceptions=True)
        failures = [(engine, result) for engine, result in zip(self._engines, results, strict=True) if result is not None]
        for _, failure in failures:
            if self._supervisor is None or len(failures) == len(self._engines) or not isinstance(failure, ToolRLError):
                raise failure
            if isinstance(failure, UserError):
                raise failure
        if self._supervisor is not None:
            for engine, failure in failures:
                self._members.lose(engine, str(failure))
            self._supervisor.start()

    def serve_as_loaded(self) -> None:
        """Let the engines serve with the weights they have loaded themselves: where nothing is pushed."""
        self._members.note_all(self._engines, EngineEvent.VERIFIED)

    async def sample(self, draw: Draw, sampling: Sampling) -> GroupRef:
        """Sample one draw on the engine with the fewest outstanding tokens, once the gate is open, and again where that is lost.

        Raises RolloutError or DeadlineError where the draw itself fails, several engines were lost with it, or too few are left.
        """
        lost = 0
        while True:
            await self._members.until_serving(None)
            async with self._gate:
                if not (serving := self._members.serving):  # the last one was lost while this draw waited at the gate
                    continue
                engine = min(serving, key=lambda each: each.outstanding_tokens)
                incarnation = engine.incarnation
                try:
                    return await engine.sample(draw, sampling)
                except (RolloutError, DeadlineError) as failure:
                    if self._supervisor is None or not await self._supervisor.lost(engine, incarnation, failure):
                        raise
                    lost += 1
                    if lost == DRAW_ATTEMPTS:
                        raise RolloutError(
                            f"draw {draw.number} (prompt {draw.prompt.id}) was lost with {lost} engines; it may be what ends them"
                        ) from failure
                    self._redrawn += 1

    async def metrics(self) -> Mapping[str, float]:
        """Return what all engines together did since the last call. Raises RolloutError where a healthy one cannot say."""
        serving = self._members.serving
        results = await asyncio.gather(*(engine.metrics() for engine in serving), return_exceptions=True)
        each = [result for result in results if not isinstance(result, BaseException)]
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures and (self._supervisor is None or not isinstance(failures[0], RolloutError | DeadlineError)):
            raise failures[0]
        busy_s = max((stats["busy_s"] for stats in each), default=0.0)
        tokens = sum(stats["generated_tokens"] for stats in each)
        redrawn, self._redrawn = self._redrawn, 0
        return {
            "engine/generated_tokens": tokens,
            "engine/busy_s": busy_s,
            "engine/busy_sum_s": sum(stats["busy_s"] for stats in each),
            "engine/tokens_per_s": tokens / busy_s if busy_s else 0.0,
            "engine/running_max": max((stats["running_max"] for stats in each), default=0.0),
            "engine/waiting_max": max((stats["waiting_max"] for stats in each), default=0.0),
            "engine/kv_use_max": max((stats["kv_use_max"] for stats in each), default=0.0),
            "engine/preempted": sum(stats["preempted"] for stats in each),
            "engine/serving": float(len(serving)),
            "engine/replaced": float(self._supervisor.replaced if self._supervisor else 0),
            "engine/redrawn": float(redrawn),
        }

    @property
    def actors(self) -> Mapping[str, Any]:
        """The actors of the engines that are present, by name."""
        return {engine.name: engine.actor for engine in self._members.present}

    def readings(self) -> list[Reading]:
        """Return how each engine stands, for Prometheus; may be called from another thread."""
        found: list[Reading] = []
        for engine in self._engines:
            labels, now = {"engine": engine.name}, self._members.states[engine.name]
            found.append(("engine/outstanding", labels, float(engine.outstanding_tokens)))
            found.append(("engine/restarts", labels, engine.incarnation - 1.0))
            found += [("engine/state", labels | {"state": str(state)}, float(state is now)) for state in EngineState]
        return found

    async def stop(self) -> None:
        """End the supervision; the actors go with their placement."""
        if self._supervisor is not None:
            await self._supervisor.stop()
