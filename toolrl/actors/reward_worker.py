"""One reward worker: an actor that judges groups under a deadline and a bound of memory, and the handle by which the pool knows it.

    group ─ alarm after reward.deadline_s ─> verdicts          a group that is late, or wants too much memory, ends the call: what was
          ─ reward.memory_gib at most ─┘                       judged before it is kept, and the pool replaces the worker

The alarm interrupts Python; what never returns from C is found by the pool's own deadline. The bound is the kernel's (RLIMIT_DATA), so that
a reward that allocates without end gets a MemoryError and the node is not touched. Processes that a reward starts have the same bound.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from toolrl.actors.gauges import Live
from toolrl.actors.logs import speak
from toolrl.actors.wait import fetch, one
from toolrl.config.task import RewardConfig
from toolrl.errors import GroupLostError, RunError, ScoringError
from toolrl.monitor.trace import SPANS, Span
from toolrl.protocols import Verifier
from toolrl.reward.deadline import LateError, within
from toolrl.reward.judge import judge_group
from toolrl.types import Group, GroupRef, Prompt, Reason, Verdict

logger = logging.getLogger(__name__)

GIB = 2**30
_STATUS = Path("/proc/self/status")
FETCH_SHARE = 0.5
"""Of `reward.deadline_s`: how long groups may take to come out of the object store, so that this is told from a hang."""


@dataclass(frozen=True)
class Judged:
    """What a worker made of some groups."""

    verdicts: list[tuple[Verdict, ...]]
    """Of the first groups, in order: of all of them, unless one failed."""
    failure: Verdict | None = None
    """On the group after those, which the worker did not get through."""


class _OutgrownError(BaseException):
    """The verifier wanted more memory than it may have. Not an Exception, so that it does not become the verdict on one completion."""


class RewardActor:
    """Judges groups that it fetches from the object store."""

    def __init__(self, verifier: Verifier, config: RewardConfig, name: str = "reward", run: str = "") -> None:
        self._verifier = verifier
        self._config = config
        self._name = name
        self._judged = 0
        speak(run, name)
        self._live = Live(run, lambda: [("reward/judged", {"worker": name}, float(self._judged))], name)
        self._live.start()  # before the bound of memory: its stack is not the verifier's
        if config.memory_gib:
            _, most = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (_own_bytes() + int(config.memory_gib * GIB), most))

    def __repr__(self) -> str:
        """Name the worker in Ray's logs and dashboard."""
        return self._name

    def ready(self) -> bool:
        """Answer once the verifier is here."""
        return True

    def score(self, handles: Sequence[Any]) -> Judged:
        """Judge the groups behind `handles`, up to the first that fails. Raises GroupLostError where they cannot be fetched."""
        try:
            groups = fetch("groups to score", list(handles), timeout_s=FETCH_SHARE * self._config.deadline_s)
        except RunError as error:  # told apart from a deadline of the verifier
            raise GroupLostError(str(error)) from error
        judged: list[tuple[Verdict, ...]] = []
        for group in groups:
            start = time.perf_counter()
            verdicts = self._judge(group)
            seconds = time.perf_counter() - start
            self._judged += 1
            self._live.observe("reward/judging_s", {"worker": self._name}, seconds)
            SPANS.add(f"judge draw {group.draw.number}", seconds, draw=group.draw.number, completions=len(group.completions))
            if isinstance(verdicts, Verdict):
                logger.warning("draw %d, prompt %s: %s", group.draw.number, group.draw.prompt.id, verdicts.got)
                return Judged(judged, verdicts)
            judged.append(verdicts)
        return Judged(judged)

    def spans(self, since: float) -> list[Span]:
        """Return what the worker did since a time, seconds since 1970."""
        return SPANS.since(since)

    def _judge(self, group: Group) -> tuple[Verdict, ...] | Verdict:
        """Return the verdicts on a group, or the one that says how it failed."""
        try:
            with within(self._config.deadline_s):
                return judge_group(self._bounded, group)
        except LateError as late:
            return Verdict(None, Reason.VERIFIER_TIMEOUT, got=str(late))
        except _OutgrownError:
            return Verdict(
                None,
                Reason.VERIFIER_ERROR,
                got=f"MemoryError: the verifier wanted more than {self._config.memory_gib:g} GiB (reward.memory_gib)",
            )

    def _bounded(self, prompt: Prompt, text: str) -> Verdict:
        try:
            return self._verifier(prompt, text)
        except MemoryError:
            pass  # with the error goes what the verifier held
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # this worker is replaced: let it say so
        raise _OutgrownError


def _own_bytes() -> int:
    """Return what counts against RLIMIT_DATA of this process: its private memory that can be written, used or not."""
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


class RewardHandle:
    """A worker as the pool sees it, whichever process it lives in by now.

    Args:
        name: What errors call it.
        make_actor: Creates its actor, as often as it is called.
        config: Section `reward` of the configuration.
    """

    def __init__(self, name: str, make_actor: Callable[[], Any], config: RewardConfig) -> None:
        self.name = name
        self._make_actor = make_actor
        self._config = config
        self._actor: Any = None

    @property
    def actor(self) -> Any:
        """Its actor of now."""
        return self._actor

    async def start(self) -> None:
        """Create its process. Raises ScoringError where that fails, DeadlineError."""
        self._actor = self._make_actor()
        reference, timeout_s = self._actor.ready.remote(), self._config.start_timeout_s
        await self._one("starting a reward worker", reference, timeout_s, "reward.start_timeout_s")

    def kill(self) -> None:
        """End its process, if there still is one."""
        ray.kill(self._actor)

    async def score(self, groups: Sequence[GroupRef]) -> Judged:
        """Judge `groups`.

        Raises:
            DeadlineError: It does not answer, not even to its own alarm.
            ScoringError: It died.
            RolloutError: A group cannot be fetched; the worker is well.
        """
        reference = self._actor.score.remote([group.handle for group in groups])
        timeout_s = self._config.deadline_s * (len(groups) + 1)
        judged: Judged = await self._one("scoring groups", reference, timeout_s, "reward.deadline_s")
        return judged

    async def _one(self, what: str, reference: Any, timeout_s: float, setting: str) -> Any:
        return await one(what, self.name, reference, timeout_s=timeout_s, error=ScoringError, actor=self._actor, setting=setting)
