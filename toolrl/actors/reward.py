"""Reward workers: a pool of Ray actors over one pure verifier.

    score(group) ─> queue ─> a free worker takes up to `groups_per_call` groups ─> verdicts
                      ^                     │ no answer in time, or dead
                      └─ its groups, one by one ─┘   and the worker is killed and replaced

A group that fails by itself as well gets `verifier_timeout` or `verifier_error` for every member: no group is scored
twice, none waits for ever, and no failure becomes a reward.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from toolrl.actors.wait import awaited, fetch, gather, one
from toolrl.config.task import RewardConfig
from toolrl.errors import ScoringError, ToolRLError
from toolrl.protocols import Verifier
from toolrl.reward.judge import judge_group
from toolrl.types import GroupRef, Reason, ScoredGroup, Verdict

_START_S = 60.0
"""A worker imports little: one that has not answered by then will not."""


class RewardActor:
    """Judges groups that it fetches from the object store."""

    def __init__(self, verifier: Verifier, fetch_timeout_s: float) -> None:
        self._verifier = verifier
        self._fetch_timeout_s = fetch_timeout_s

    def ready(self) -> bool:
        """Answer once the verifier is here."""
        return True

    def score(self, handles: Sequence[Any]) -> list[tuple[Verdict, ...]]:
        """Return the verdicts of each group behind `handles`."""
        groups = fetch("groups to score", list(handles), timeout_s=self._fetch_timeout_s)
        return [judge_group(self._verifier, group) for group in groups]


@dataclass(eq=False)
class _Job:
    group: GroupRef
    done: asyncio.Future[tuple[Verdict, ...]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def finish(self, verdicts: tuple[Verdict, ...]) -> None:
        """Hand over the verdicts, unless nobody waits any more."""
        if not self.done.done():
            self.done.set_result(verdicts)

    def fail(self, error: Exception) -> None:
        """Hand over an error, unless nobody waits any more."""
        if not self.done.done():
            self.done.set_exception(error)


class ScorerPool:
    """Implements `protocols.Scorer` over `workers` actors."""

    def __init__(self, make_worker: Callable[[int], Any], config: RewardConfig) -> None:
        self._make_worker = make_worker
        self._config = config
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._open: set[_Job] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.replaced = 0
        """Workers that were killed and replaced."""

    async def start(self) -> None:
        """Start the workers. Raises ScoringError or DeadlineError where one does not come up."""
        workers = {f"reward-{i}": self._make_worker(i) for i in range(self._config.workers)}
        await gather("starting reward workers", {n: w.ready.remote() for n, w in workers.items()}, timeout_s=_START_S, error=ScoringError)
        for index, worker in enumerate(workers.values()):
            task = asyncio.create_task(self._serve(index, worker), name=f"reward-{index}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def score(self, group: GroupRef) -> ScoredGroup:
        """Return one verdict for each completion of `group`. Raises ScoringError where a worker cannot be replaced."""
        job = _Job(group)
        self._open.add(job)
        self._jobs.put_nowait(job)
        try:
            return ScoredGroup(group, await job.done)
        finally:
            self._open.discard(job)

    async def stop(self) -> None:
        """End the pool; the actors go with the placement."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a pool of which a part ended by itself."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            for job in self._open:
                job.fail(ScoringError(f"{task.get_name()} ended: {type(failure).__name__}: {failure}"))

    async def _serve(self, index: int, worker: Any) -> None:
        """Consumes jobs, one call at a time to one worker; waits for the first job; replaces the worker when it fails."""
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < self._config.groups_per_call and not self._jobs.empty():
                jobs.append(self._jobs.get_nowait())
            try:
                worker = await self._judge(index, worker, jobs)
            except ToolRLError as error:
                for job in jobs:
                    job.fail(error)

    async def _judge(self, index: int, worker: Any, jobs: Sequence[_Job], *, fresh: bool = False) -> Any:
        """Settle `jobs` and return the worker to go on with.

        Groups that failed in company are tried once more, each alone; so is one whose worker may have died before it came.
        """
        failure = await self._call(worker, jobs)
        if failure is None:
            return worker
        worker = await self._replace(index, worker)
        if len(jobs) == 1 and (fresh or failure.reason is Reason.VERIFIER_TIMEOUT):
            jobs[0].finish((failure,) * len(jobs[0].group.completion_tokens))
            return worker
        for job in jobs:
            worker = await self._judge(index, worker, [job], fresh=True)
        return worker

    async def _call(self, worker: Any, jobs: Sequence[_Job]) -> Verdict | None:
        """Have one worker judge `jobs`; return the verdict that says why it failed, or None."""
        timeout_s = self._config.deadline_s * len(jobs)
        try:
            verdicts = await asyncio.wait_for(awaited(worker.score.remote([job.group.handle for job in jobs])), timeout_s)
        except TimeoutError:
            return Verdict(None, Reason.VERIFIER_TIMEOUT, got=f"no verdict within {self._config.deadline_s:g} s")
        except RayError as error:
            return Verdict(None, Reason.VERIFIER_ERROR, got=f"{type(error).__name__}: {error}")
        for job, found in zip(jobs, verdicts, strict=True):
            job.finish(found)
        return None

    async def _replace(self, index: int, worker: Any) -> Any:
        ray.kill(worker)
        self.replaced += 1
        fresh = self._make_worker(index)
        await one("replacing a reward worker", f"reward-{index}", fresh.ready.remote(), timeout_s=_START_S, error=ScoringError)
        return fresh
