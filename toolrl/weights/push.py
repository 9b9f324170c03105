"""Makes the learner's weights live in every engine, or stops the run: the order is the whole point.

    gate shut ─> (drain) ─> pause ─> send ─> manifests equal? ─> drop caches ─> commit version ─> resume ─> probe equal? ─> gate open

Until the gate opens nothing new is sampled. Requests in flight go on after the resume, under the new version; the probe comes after it
because a paused vLLM answers nothing. Where learner and engines share their GPUs, they take turns within a push: the engines' weights
wake before the send, their key-value cache after it, and the learner leaves before the gate opens (`turns`). Every phase has a deadline
and an error that names the phase and the parties. After any error the gate stays shut, and what was sampled since the commit must not be
trained.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolrl.config.schema import WeightsConfig
from toolrl.errors import WeightSyncError
from toolrl.types import PushReport, WeightVersion
from toolrl.weights.gate import Gate
from toolrl.weights.manifest import LoadReport, Manifest, differences
from toolrl.weights.parity import Parity, ParityBound, parity
from toolrl.weights.phase import phase

T = TypeVar("T")

SENDER_MARGIN = 1.25
"""Times `weights.timeout_s`: how long the learner has. Its calls to the engines have the timeout itself, and name who is silent."""
MAX_DIFFERENCES = 8
"""Differences of a manifest named in the error; the rest are counted."""


class PushEngine(Protocol):
    """An engine, as far as a push concerns it."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    async def pause(self, *, recompute: bool) -> None:
        """Stop sampling, keeping the requests; `recompute`: their keys and values are computed again after `resume`."""
        ...

    async def manifest(self) -> list[LoadReport]:
        """Say what each worker was given."""
        ...

    async def reset_caches(self) -> None:
        """Drop cached prefixes."""
        ...

    async def commit(self, version: WeightVersion) -> None:
        """Label what is sampled from now on."""
        ...

    async def resume(self) -> None:
        """Sample again."""
        ...

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the log-probabilities [T - 1] of each sequence, at temperature 1."""
        ...


class PushLearner(Protocol):
    """The learner group, as far as a push concerns it."""

    async def connect(self) -> None:
        """Form the transfer group with the engines."""
        ...

    async def send(self) -> Manifest:
        """Send the weights and let the engines load them; returns what had to be sent."""
        ...

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the log-probabilities [T - 1] of each sequence, at temperature 1."""
        ...


class Sharing(Protocol):
    """What a push does besides, where learner and engines share their GPUs."""

    async def before_send(self) -> None:
        """Make room for the engines' weights and let them be loaded."""
        ...

    async def after_send(self) -> None:
        """Give the engines what else they need to sample."""
        ...

    async def before_open(self) -> None:
        """Take the learner off the GPUs."""
        ...


class Publisher:
    """Pushes and verifies; what the loop knows as `protocols.Weights`.

    Args:
        engines: The engines, all of them.
        learner: The learner group.
        gate: The admission of draws; shut during a push, and for good after a failed one.
        settings: The section `weights` of the configuration.
        dtype: Compute type of learner and engines: float32 or bfloat16.
        probes: Sequences of a parity probe, of two tokens or more.
        drain_timeout_s: Longest wait for the requests in flight where `in_flight` is `drain`.
        turns: Who is on the GPUs when; None where learner and engines have their own.
    """

    def __init__(
        self,
        engines: Sequence[PushEngine],
        learner: PushLearner,
        gate: Gate,
        settings: WeightsConfig,
        *,
        dtype: str,
        probes: Sequence[NDArray[np.int32]],
        drain_timeout_s: float,
        turns: Sharing | None = None,
    ) -> None:
        self._engines = tuple(engines)
        self._learner = learner
        self._gate = gate
        self._settings = settings
        self._bound = ParityBound(dtype, settings.parity_bound)
        self._probes = tuple(probes)
        self._drain_timeout_s = drain_timeout_s
        self._turns = turns
        self._connected = False
        self._pushed = False

    async def publish(self, version: WeightVersion) -> PushReport:
        """Make the learner's present weights live as `version`, verified.

        Raises:
            WeightSyncError: Engine and learner disagree, or a party failed.
            DeadlineError: A party did not answer in time.
        """
        clock = _Clock()
        sender_s = SENDER_MARGIN * self._settings.timeout_s
        self._gate.shut()
        if not self._connected:
            await self._phase("connect", {"learner": self._learner.connect()}, sender_s)
        self._connected = False  # until this push is whole: a group that has failed is not used again
        clock.lap("connect_s")
        if self._settings.in_flight == "drain":
            await self._phase("drain", {f"{self._gate.inside} draws in flight": self._gate.drained()}, self._drain_timeout_s)
        clock.lap("drain_s")
        await self._phase("pause", {e.name: e.pause(recompute=self._settings.in_flight == "recompute") for e in self._engines})
        clock.lap("pause_s")
        if self._turns:
            await self._turns.before_send()
            clock.lap("wake_s")
        sent = (await self._phase("send", {"learner": self._learner.send()}, sender_s))["learner"]
        clock.lap("send_s")
        await self._verify_manifests(sent)
        self._connected = True
        if self._turns:
            await self._turns.after_send()
        await self._phase("reset caches", {e.name: e.reset_caches() for e in self._engines})
        await self._phase("commit", {e.name: e.commit(version) for e in self._engines})
        await self._phase("resume", {e.name: e.resume() for e in self._engines})
        clock.lap("commit_s")
        seen = await self._probe() if self._due(version) else []
        clock.lap("probe_s")
        if self._turns:
            await self._turns.before_open()
            clock.lap("leave_s")
        self._pushed = True
        self._gate.open()
        return PushReport(version, {**clock.metrics(), **_parity_metrics(seen), "weights/bytes": float(sent.num_bytes)})

    def _due(self, version: WeightVersion) -> bool:
        every = self._settings.probe_every
        return not self._pushed or (every > 0 and version % every == 0)

    async def _verify_manifests(self, sent: Manifest) -> None:
        reports = await self._phase("manifest", {e.name: e.manifest() for e in self._engines})
        found = [line for workers in reports.values() for report in workers for line in differences(sent, report)]
        found += [f"{name}: no worker reported" for name, workers in reports.items() if not workers]
        if found:
            more = f", and {len(found) - MAX_DIFFERENCES} more" if len(found) > MAX_DIFFERENCES else ""
            raise WeightSyncError(f"the engines did not load what was sent: {'; '.join(found[:MAX_DIFFERENCES])}{more}")

    async def _probe(self) -> list[Parity]:
        answers = await self._phase(
            "probe", {"learner": self._learner.probe(self._probes), **{e.name: e.probe(self._probes) for e in self._engines}}
        )
        seen = {e.name: parity(answers["learner"], answers[e.name]) for e in self._engines}
        for name, value in seen.items():
            self._bound.check(name, value)
        self._bound.calibrate(list(seen.values()))
        return list(seen.values())

    async def _phase(self, name: str, parties: Mapping[str, Awaitable[T]], timeout_s: float | None = None) -> dict[str, T]:
        return await phase(f"push, {name}", parties, self._settings.timeout_s if timeout_s is None else timeout_s)


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = now - self._last
        self._last = now

    def metrics(self) -> dict[str, float]:
        return {"weights/push_s": time.perf_counter() - self._start, **{f"weights/{name}": value for name, value in self._laps.items()}}


def _parity_metrics(seen: Sequence[Parity]) -> dict[str, float]:
    """Metrics of the worst engine; none where no probe was due."""
    if not seen:
        return {}
    return {
        "weights/parity_max_abs_dlogp": max(p.max_abs for p in seen),
        "weights/parity_mean_abs_dlogp": max(p.mean_abs for p in seen),
    }
