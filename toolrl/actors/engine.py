"""Engines as Ray actors, and the pool that hands draws to them.

    sample(draw) ─> gate (shut while weights are pushed) ─> engine with the fewest outstanding tokens ─> GroupRef
                                                                   └─ the Group stays in the object store

A draw waits at the gate, then in vLLM: all free draws are in flight at once. The controller gets sizes, versions and a
reference; token arrays go from the engine straight to the reward workers and learner ranks that ask for them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from toolrl.actors.wait import one
from toolrl.config.schema import EngineConfig
from toolrl.errors import RolloutError, WeightSyncError
from toolrl.rollout.engine import EngineSettings, VllmEngine
from toolrl.types import Draw, Group, GroupRef, Sampling
from toolrl.weights.push import Gate

MAX_CALLS = 100_000
"""Calls an engine actor holds at once: every draw of a batch, and the control calls, which must never queue behind them."""


@ray.remote
class EngineActor:
    """One vLLM engine in a process of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        self._engine = VllmEngine(settings)
        self._name = settings.name

    def __repr__(self) -> str:
        """Name the engine in Ray's logs and dashboard."""
        return self._name

    async def sample(self, draw: Draw, sampling: Sampling) -> tuple[GroupRef, Group]:
        """Sample one draw. Two results: what the controller holds, and the group for the object store."""
        start = time.monotonic()
        group = await self._engine.sample(draw, sampling)
        return group.ref(None, engine=self._name, sample_s=time.monotonic() - start), group

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a control method of the engine."""
        return await getattr(self._engine, method)(*arguments)


class EngineHandle:
    """One engine as the controller sees it: every call has a deadline and the engine's name in its errors."""

    def __init__(self, name: str, actor: Any, *, timeout_s: float) -> None:
        self.name = name
        self.actor = actor
        self._timeout_s = timeout_s

    async def call(self, method: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """Call `method` of the engine. Raises WeightSyncError or DeadlineError."""
        reference = self.actor.call.remote(method, *arguments)
        return await one(f"engine {method}", self.name, reference, timeout_s=timeout_s or self._timeout_s, error=WeightSyncError)
