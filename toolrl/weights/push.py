"""Makes the learner's weights live in every engine, or stops the run: the order is the whole point.

    gate shut ─> (drain) ─> pause ─> send ─> manifests equal? ─> drop caches ─> commit version ─> resume ─> probe equal? ─> gate open

Until the gate opens nothing new is sampled. Requests in flight go on after the resume, under the new version; the probe comes after it
because a paused vLLM answers nothing. Where learner and engines share their GPUs, they take turns within a push: the engines' weights
wake before the send, their key-value cache after it, and the learner leaves before the gate opens (`turns`). Every phase has a deadline
and an error that names the phase and the parties. After any error the gate stays shut, and what was sampled since the commit must not be
trained.

An engine that dies or hangs in a push breaks it for all: the others are then STALE, the transfer group is torn down, and the whole push
is made again, with those that are left and a new group. A disagreement of engine and learner is never tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from itertools import count
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolrl.config.schema import WeightsConfig
from toolrl.errors import DeadlineError, DisagreementError, LearnerLostError, RolloutError, ToolRLError, WeightSyncError
from toolrl.types import PushReport, WeightVersion
from toolrl.weights.gate import Gate
from toolrl.weights.manifest import Manifest, differences
from toolrl.weights.membership import EngineEvent, Membership
from toolrl.weights.parity import Parity, ParityBound, parity
from toolrl.weights.parties import E, PushLearner, Sharing
from toolrl.weights.phase import phase

T = TypeVar("T")

SENDER_MARGIN = 2.5
"""Times `weights.timeout_s`: how long the learner has. Its calls to the engines and its broadcasts have the timeout itself, one after the
other at worst, and name who is silent; a learner that says nothing even then is itself lost."""
PUSH_ATTEMPTS = 3
"""Pushes of one version, where engines are replaced: each that broke has cost an engine, or the network is at fault."""
MAX_DIFFERENCES = 8
"""Differences of a manifest named in the error; the rest are counted."""


logger = logging.getLogger(__name__)


class Publisher(Generic[E]):
    """Pushes and verifies; what the loop knows as `protocols.Weights`.

    Args:
        members: The engines and their states; those that are present are pushed to.
        learner: The learner group.
        gate: The admission of draws; shut during a push, and for good after a failed one.
        settings: The section `weights` of the configuration.
        dtype: Compute type of learner and engines: float32 or bfloat16.
        probes: Sequences of a parity probe, of two tokens or more.
        drain_timeout_s: Longest wait for the requests in flight where `in_flight` is `drain`.
        turns: Who is on the GPUs when; None where learner and engines have their own.
        replaced: Whether an engine that is lost will be replaced, so that a push may be tried again.
    """

    def __init__(
        self,
        members: Membership[E],
        learner: PushLearner[E],
        gate: Gate,
        settings: WeightsConfig,
        *,
        dtype: str,
        probes: Sequence[NDArray[np.int32]],
        drain_timeout_s: float,
        turns: Sharing | None = None,
        replaced: bool = False,
    ) -> None:
        self._members = members
        self._engines: tuple[E, ...] = ()
        """Of the push that is made."""
        self._learner = learner
        self._gate = gate
        self._settings = settings
        self._bound = ParityBound(dtype, settings.parity_bound)
        self._probes = tuple(probes)
        self._drain_timeout_s = drain_timeout_s
        self._turns = turns
        self._attempts = PUSH_ATTEMPTS if replaced else 1
        self._connected: int | None = None
        """The generation of members that the transfer group was formed with."""
        self._pushed = False

    async def publish(self, version: WeightVersion) -> PushReport:
        """Make the learner's present weights live as `version`, verified, in every engine that is present.

        Raises:
            DisagreementError: Engine and learner disagree.
            LearnerLostError: The learner did not answer in time.
            WeightSyncError, DeadlineError, RolloutError: An engine failed or did not answer in time, and it is not replaced, or too often.
        """
        for attempt in count(1):
            await self._members.until_present(None)
            self._engines = self._members.present
            losses = [self._members.losses(engine) for engine in self._engines]
            try:
                report = await self._push(version)
            except (LearnerLostError, DisagreementError):
                self._members.note_all(self._engines, EngineEvent.BROKEN)
                raise
            except (WeightSyncError, DeadlineError, RolloutError) as failure:  # the last: what an engine's core says when it dies
                if self._attempts == 1:  # nobody is replaced, so nobody need know who is well
                    self._members.note_all(self._engines, EngineEvent.BROKEN)
                    raise
                await self._sort_out()
                if attempt >= self._attempts:
                    raise
                logger.warning("push of version %d broke, and is made again (%d of %d): %s", version, attempt, self._attempts, failure)
            else:
                # One that was replaced meanwhile bears the same name, and holds the start model.
                same = [e for e, before in zip(self._engines, losses, strict=True) if self._members.losses(e) == before]
                self._members.note_all(same, EngineEvent.VERIFIED)
                self._gate.open()
                return report
        raise AssertionError

    async def wanted(self) -> None:
        """Return once an engine has come back and waits for the live version. Raises RolloutError where too few engines are left."""
        await self._members.until_stale()

    async def _sort_out(self) -> None:
        """After a push that broke: who does not answer is lost, and whoever does has weights that nobody knows."""
        timeout_s = self._settings.timeout_s
        answers = await asyncio.gather(*(engine.health(timeout_s=timeout_s) for engine in self._engines), return_exceptions=True)
        for engine, answer in zip(self._engines, answers, strict=True):
            if isinstance(answer, ToolRLError):
                if engine in self._members.present:  # nobody else has noticed yet
                    self._members.lose(engine, str(answer))
            elif answer is not None:
                raise answer
        self._members.note_all(self._engines, EngineEvent.BROKEN)

    async def _push(self, version: WeightVersion) -> PushReport:
        """Push once, to the engines of this push; the gate is left shut."""
        clock = _Clock()
        sender_s = SENDER_MARGIN * self._settings.timeout_s
        self._gate.shut()
        if self._connected != self._members.generation:
            self._connected = self._members.generation
            await self._learner_phase("connect", self._learner.connect(self._engines), sender_s)
        connected, self._connected = self._connected, None  # until this push is whole: a group that has failed is not used again
        clock.lap("connect_s")
        if self._settings.in_flight == "drain":
            await self._phase("drain", {f"{self._gate.inside} draws in flight": self._gate.drained()}, self._drain_timeout_s)
        clock.lap("drain_s")
        await self._phase("pause", {e.name: e.pause(recompute=self._settings.in_flight == "recompute") for e in self._engines})
        clock.lap("pause_s")
        if self._turns:
            await self._turns.before_send()
            clock.lap("wake_s")
        sent = await self._learner_phase("send", self._learner.send(), sender_s)
        clock.lap("send_s")
        await self._verify_manifests(sent)
        self._connected = connected
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
            raise DisagreementError(f"the engines did not load what was sent: {'; '.join(found[:MAX_DIFFERENCES])}{more}")

    async def _probe(self) -> list[Parity]:
        learner = self._learner_phase("probe", self._learner.probe(self._probes), self._settings.timeout_s)
        parties = {"learner": learner, **{e.name: e.probe(self._probes) for e in self._engines}}
        answers = await self._phase("probe", parties, SENDER_MARGIN * self._settings.timeout_s)
        seen = {e.name: parity(answers["learner"], answers[e.name]) for e in self._engines}
        for name, value in seen.items():
            self._bound.check(name, value)
        self._bound.calibrate(list(seen.values()))
        return list(seen.values())

    async def _learner_phase(self, name: str, doing: Awaitable[T], timeout_s: float) -> T:
        """Await the learner. Raises LearnerLostError where it does not answer in time; engines have had their own deadlines by then."""
        try:
            async with asyncio.timeout(timeout_s):
                return (await phase(f"push, {name}", {"learner": doing}, 2 * timeout_s))["learner"]
        except TimeoutError as error:
            if isinstance(error, ToolRLError):
                raise
            raise LearnerLostError(f"push, {name}: no answer from the learner within {timeout_s:g} s") from error

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
