"""Learner and engines that share their GPUs take turns on them: never both at once, and whose turn it is is known.

    engines' turn                           learner's turn                                               engines' turn
    draws sampled ─> gate shut, drained ─> engines asleep ─> learner moves in ─> train or save ─> publish ─> draws sampled

    publish: optimizer states leave ─> engines' weights wake ─> push, manifests ─> key-value cache wakes ─> caches reset ─> commit
             ─> resume ─> probe ─> learner's parameters leave ─> gate open

An engine that sleeps gives its memory back and keeps its process (vLLM's sleep levels: 1 keeps the weights in host memory, 2 drops
them); the next push brings every weight, so both are the same to us. The learner's states go to host memory and back. A failure leaves
the turn where it is and the gate shut, and ends the run: whoever is off the GPUs stays off them. Never run on a GPU: vLLM cannot sleep on
a CPU, so the order is tested against recording fakes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from toolrl.errors import WeightSyncError
from toolrl.protocols import Learner, Store, Weights
from toolrl.types import Batch, RunState, StepReport
from toolrl.weights.gate import Gate
from toolrl.weights.phase import phase

WEIGHTS, KV_CACHE = "weights", "kv_cache"
"""What vLLM wakes by itself: its tags."""


class SleepingEngine(Protocol):
    """An engine, as far as turns concern it."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    async def sleep(self, level: int) -> None:
        """Give the GPU's memory back; nothing may be in flight."""
        ...

    async def wake(self, tag: str) -> None:
        """Take the memory of one part again: `weights`, then `kv_cache`."""
        ...


class MovingLearner(Protocol):
    """The learner group, as far as turns concern it."""

    async def onload(self) -> None:
        """Bring everything that trains back to the GPUs."""
        ...

    async def offload(self, *, parameters: bool) -> None:
        """Move gradients and optimizer states to host memory; with `parameters`, the model's shards too."""
        ...


class Turns:
    """Whose turn on the GPUs it is, and how it changes. Surrounds the sending of a push (`push.Sharing`).

    Args:
        engines: The engines, all of them.
        learner: The learner group.
        gate: The admission of draws.
        sleep_level: How deep engines sleep: 1 or 2.
        engine_timeout_s: Longest wait for an engine to fall asleep or wake.
        learner_timeout_s: Longest wait for the learner to move in or out.
        drain_timeout_s: Longest wait for the draws in flight.
    """

    def __init__(
        self,
        engines: Sequence[SleepingEngine],
        learner: MovingLearner,
        gate: Gate,
        *,
        sleep_level: int,
        engine_timeout_s: float,
        learner_timeout_s: float,
        drain_timeout_s: float,
    ) -> None:
        self._engines = tuple(engines)
        self._learner = learner
        self._gate = gate
        self._sleep_level = sleep_level
        self._engine_timeout_s = engine_timeout_s
        self._learner_timeout_s = learner_timeout_s
        self._drain_timeout_s = drain_timeout_s
        self._learners_turn = False

    async def begin(self) -> None:
        """Put engines that have just started to sleep. Then the learner may load: engines measure a GPU's free memory, so they go first."""
        await self._engines_sleep()
        self._learners_turn = True

    async def to_learner(self) -> None:
        """Give the learner the GPUs, if it has not got them: wait for the draws in flight, put the engines to sleep, move it in.

        Raises:
            DeadlineError: Draws, an engine or the learner took too long.
            WeightSyncError: An engine or the learner failed.
        """
        if self._learners_turn:
            return
        self._gate.shut()
        inside = f"{self._gate.inside} draws in flight"
        await phase("turn, drain", {inside: self._gate.drained()}, self._drain_timeout_s)
        await self._engines_sleep()
        await self._move("learner moves in", self._learner.onload())
        self._learners_turn = True

    async def before_send(self) -> None:
        """Make room for the engines' weights, and wake those: the parameters stay until they are sent and probed."""
        if not self._learners_turn:
            raise WeightSyncError("weights are pushed in the learner's turn, and it is the engines'")
        await self._move("optimizer leaves", self._learner.offload(parameters=False))
        await self._wake(WEIGHTS)

    async def after_send(self) -> None:
        """Wake the key-value cache, which the reload of the weights might have needed the room of."""
        await self._wake(KV_CACHE)

    async def before_open(self) -> None:
        """Move the learner out: the engines' turn begins."""
        await self._move("learner leaves", self._learner.offload(parameters=True))
        self._learners_turn = False

    async def _engines_sleep(self) -> None:
        await phase("turn, engines sleep", {e.name: e.sleep(self._sleep_level) for e in self._engines}, self._engine_timeout_s)

    async def _wake(self, tag: str) -> None:
        await phase(f"turn, wake {tag}", {e.name: e.wake(tag) for e in self._engines}, self._engine_timeout_s)

    async def _move(self, what: str, moving: Awaitable[None]) -> None:
        await phase(f"turn, {what}", {"learner": moving}, self._learner_timeout_s)


class LearnerInTurn:
    """Implements `protocols.Learner`: `learner`, once it has the GPUs. They stay its own until the push."""

    def __init__(self, learner: Learner, turns: Turns) -> None:
        self._learner = learner
        self._turns = turns

    async def step(self, batch: Batch) -> StepReport:
        """Train one batch, as `learner` does, in its turn."""
        start = time.perf_counter()
        await self._turns.to_learner()
        turn_s = time.perf_counter() - start
        report = await self._learner.step(batch)
        return replace(report, metrics={**report.metrics, "learner/turn_s": turn_s})


class StoreInTurn:
    """Implements `protocols.Store`: `store`, while the learner has the GPUs; then the engines get them back.

    Engines that slept are pushed to again under the version they had, since level 2 dropped their weights: a push for each checkpoint.
    After `last_version` nobody samples, and they sleep on.
    """

    def __init__(self, store: Store, turns: Turns, weights: Weights, *, last_version: int) -> None:
        self._store = store
        self._turns = turns
        self._weights = weights
        self._last_version = last_version

    async def save(self, state: RunState) -> Mapping[str, float]:
        """Write a checkpoint, as `store` does, in the learner's turn."""
        await self._turns.to_learner()
        metrics = await self._store.save(state)
        if state.version < self._last_version:
            await self._weights.publish(state.version)
        return metrics
