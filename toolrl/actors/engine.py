"""Engines as Ray actors, and the handle by which the rest of a run knows one, whichever process it lives in by now.

The controller gets sizes, versions and a reference; token arrays go from the engine straight to the reward workers and learner ranks that
ask for them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from toolrl.actors.gauges import Live, Reading
from toolrl.actors.logs import speak
from toolrl.actors.wait import one
from toolrl.errors import RolloutError, RunError, WeightSyncError
from toolrl.monitor.trace import SPANS, Span
from toolrl.rollout.settings import EngineSettings
from toolrl.types import Draw, Group, GroupRef, Sampling, WeightVersion
from toolrl.weights.manifest import LoadReport

LIVE = {
    "engine/sampled_tokens": "generated_tokens",
    "engine/sampling_s": "busy_s",
    "engine/running": "running",
    "engine/queued": "waiting",
    "engine/kv_use": "kv_use",
    "engine/preemptions": "preempted",
    "engine/version": "version",
}
"""Metric -> what the engine calls it."""
MAX_CALLS = 100_000
"""Calls an engine actor holds at once: every draw of a batch, and the control calls, which must never queue behind them."""


logger = logging.getLogger(__name__)


class EngineActor:
    """One vLLM engine in a process of its own."""

    def __init__(self, settings: EngineSettings, run: str = "") -> None:
        from toolrl.rollout.engine import VllmEngine  # only this process needs vLLM

        self._engine = VllmEngine(settings)
        self._name = settings.name
        self._draws, self._last_draw = 0, -1
        speak(run, settings.name)
        self._live = Live(run, self._readings, settings.name)
        self._live.start()

    def __repr__(self) -> str:
        """Name the engine in Ray's logs and dashboard."""
        return self._name

    async def sample(self, draw: Draw, sampling: Sampling) -> tuple[GroupRef, Group]:
        """Sample one draw. Two results: what the controller holds, and the group for the object store."""
        start = time.monotonic()
        group = await self._engine.sample(draw, sampling)
        ref = group.ref(None, engine=self._name, sample_s=time.monotonic() - start)
        self._draws, self._last_draw = self._draws + 1, draw.number
        tokens = sum(ref.completion_tokens)
        oldest = min(ref.oldest)
        SPANS.add(f"sample draw {draw.number}", ref.sample_s, draw=draw.number, version=oldest, prompt=ref.prompt_id, tokens=tokens)
        return ref, group

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a control method of the engine."""
        if method == "health":
            return await self._engine.health()
        with SPANS.span(method):
            result = await getattr(self._engine, method)(*arguments, **options)
        if method == "commit":
            what = "version %s is live; %d draws sampled since the one before, the last of them draw %d"
            logger.info(what, arguments[0], self._draws, self._last_draw)
            self._draws = 0
        return result

    async def spans(self, since: float) -> list[Span]:
        """Return what the engine did since a time, seconds since 1970."""
        return SPANS.since(since)

    async def metrics(self) -> dict[str, float]:
        """Return what the engine did since the last call."""
        return self._engine.metrics()

    async def serve(self, run: str) -> None:
        """Belong to another run from now on."""
        self._live.rename(run)
        speak(run, self._name)

    def _readings(self) -> list[Reading]:
        now, labels = self._engine.live(), {"engine": self._name}
        return [(name, labels, now[key]) for name, key in LIVE.items()]


class EngineHandle:
    """One engine as the controller sees it: every call has a deadline, and its errors name the engine."""

    def __init__(self, settings: EngineSettings, make_actor: Callable[[], Any], *, timeout_s: float, kept: Any = None) -> None:
        self.name = settings.name
        self.started = kept is not None
        """Whether it has loaded a model; one that is `kept` from an earlier stage has, and its weights are those of that stage."""
        self.num_workers = settings.tensor_parallel
        self.incarnation = 1
        """Counts the processes it has lived in."""
        self._make_actor = make_actor
        self.actor = make_actor() if kept is None else kept
        self.outstanding_tokens = 0
        """Most tokens its present draws may still take: how busy it is."""
        self._sample_timeout_s = settings.sample_timeout_s
        self._timeout_s = timeout_s

    def renew(self) -> None:
        """Kill its process, if there still is one, and create another, which has no weights yet; the calls of the old one fail."""
        self.kill()
        self.incarnation += 1
        self.started = False
        self.actor = self._make_actor()

    def kill(self) -> None:
        """End its process, if there still is one."""
        ray.kill(self.actor)

    async def start(self, *, timeout_s: float) -> None:
        """Load the model, if it has none. Raises RolloutError, DeadlineError, or the UserError of a model that cannot be loaded."""
        if not self.started:
            reference = self.actor.call.remote("start")
            await self._one("starting an engine", reference, timeout_s, RolloutError, "engine.start_timeout_s")
            self.started = True

    async def health(self, *, timeout_s: float) -> None:
        """Return once its core has answered, behind no other work than a step. Raises RolloutError where it died, DeadlineError."""
        reference = self.actor.call.remote("health")
        await self._one("a health check", reference, timeout_s, RolloutError, "engine.health_timeout_s")

    async def sample(self, draw: Draw, sampling: Sampling) -> GroupRef:
        """Sample one draw; the group stays in the object store. Raises RolloutError or DeadlineError."""
        cost = len(draw.token_ids) + sampling.n * sampling.max_tokens
        self.outstanding_tokens += cost
        try:
            described, group = self.actor.sample.options(num_returns=2).remote(draw, sampling)
            what = f"sampling draw {draw.number}"
            ref: GroupRef = await self._one(what, described, self._sample_timeout_s, RolloutError, "engine.sample_timeout_s")
        except asyncio.CancelledError:
            ray.cancel(described, recursive=False)  # or vLLM would go on sampling for nobody
            raise
        finally:
            self.outstanding_tokens -= cost
        return dataclasses.replace(ref, handle=group)

    async def pause(self, *, recompute: bool) -> None:
        """Stop between two steps, keeping the requests."""
        await self._call("pause", recompute=recompute)

    async def resume(self) -> None:
        """Go on where `pause` stopped."""
        await self._call("resume")

    async def sleep(self, level: int) -> None:
        """Give the GPU's memory back; nothing may be in flight."""
        await self._call("sleep", level)

    async def wake(self, tag: str) -> None:
        """Take the memory of `weights` or `kv_cache` again."""
        await self._call("wake", tag)

    async def load(self, model_path: str) -> None:
        """Take the weights of another checkpoint of the same model, as version 0."""
        await self._call("load", model_path)

    async def manifest(self) -> list[LoadReport]:
        """Return what each worker was given in the last push."""
        reports: list[LoadReport] = await self._call("manifest")
        return reports

    async def reset_caches(self) -> None:
        """Drop cached prefixes."""
        await self._call("reset_caches")

    async def commit(self, version: WeightVersion) -> None:
        """Label every token sampled from now on with `version`."""
        await self._call("commit", version)

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the engine's log-probabilities (temperature 1) of tokens 1 to T - 1 of each sequence."""
        found: list[NDArray[np.float32]] = await self._call("probe", sequences)
        return found

    async def metrics(self) -> dict[str, float]:
        """Return what the engine did since the last call."""
        reference = self.actor.metrics.remote()
        found: dict[str, float] = await self._one("engine metrics", reference, self._timeout_s, RolloutError, "weights.timeout_s")
        return found

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        reference = self.actor.call.remote(method, *arguments, **options)
        return await self._one(f"engine {method}", reference, self._timeout_s, WeightSyncError, "weights.timeout_s")

    async def _one(self, what: str, reference: Any, timeout_s: float, error: type[RunError], setting: str) -> Any:
        return await one(what, self.name, reference, timeout_s=timeout_s, error=error, actor=self.actor, setting=setting)
