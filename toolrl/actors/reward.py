"""The pool of reward workers over one pure verifier: no group is judged twice, none waits for ever, and no failure becomes a reward.

    score(group) ─> prompt in quarantine? ─> queue ─> a free worker takes up to `groups_per_call` groups ─> verdicts
                            ^                  ^                    │ late, out of memory, hung or dead: killed and replaced
                            │                  └── who is in doubt, one by one; the others as before
                            └── the culprit: `verifier_timeout` or `verifier_error` for every member, and one more for its prompt

A worker that cannot be replaced is given up, and the others go on; with the last one the pool fails, saying why.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolrl.actors.gauges import Reading
from toolrl.actors.reward_worker import Judged
from toolrl.calls.fault import shown
from toolrl.config.task import RewardConfig
from toolrl.errors import DeadlineError, RolloutError, ScoringError, ToolRLError, UserError
from toolrl.reward.quarantine import Quarantine
from toolrl.types import GroupRef, Reason, ScoredGroup, Verdict

START_ATTEMPTS = 4
"""Of a replacement, before a worker is given up."""
FIRST_PAUSE_S = 1.0
"""Between the first two of them; it doubles."""

logger = logging.getLogger(__name__)


class Worker(Protocol):
    """One worker; see `reward_worker.RewardHandle`."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def actor(self) -> Any:
        """Its actor of now."""
        ...

    async def start(self) -> None:
        """Create its process. Raises ScoringError or DeadlineError."""
        ...

    def kill(self) -> None:
        """End its process."""
        ...

    async def score(self, groups: Sequence[GroupRef]) -> Judged:
        """Judge groups. Raises DeadlineError, ScoringError, or RolloutError where they cannot be fetched."""
        ...


@dataclass(eq=False)
class _Job:
    group: GroupRef
    in_doubt: bool = False
    """Whether it was in a call that failed: it is then judged alone, and the next failure is its own."""
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
    """Implements `protocols.Scorer` over `reward.workers` workers.

    Args:
        make_worker: Makes the handle of worker i, which starts nothing yet.
        config: Section `reward` of the configuration.
        scored: Told for each group how many seconds its verdicts took.
    """

    def __init__(
        self, make_worker: Callable[[int], Worker], config: RewardConfig, scored: Callable[[float], object] = lambda seconds: None
    ) -> None:
        self._workers = [make_worker(index) for index in range(config.workers)]
        self._config = config
        self._scored = scored
        self._quarantine = Quarantine(config.quarantine_after)
        self._waiting: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._open: set[_Job] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None
        self._up: set[str] = set()
        """Workers that have started."""
        self._left = config.workers
        """Workers not given up."""
        self._replaced = 0

    async def start(self) -> None:
        """Start the workers; those that fail are tried again while the others judge.

        Raises ScoringError or DeadlineError where none comes up, UserError where the verifier cannot.
        """
        results = await asyncio.gather(*(worker.start() for worker in self._workers), return_exceptions=True)
        failures = [result for result in results if result is not None]
        for failure in failures:
            if len(failures) == len(results) or not isinstance(failure, ToolRLError) or isinstance(failure, UserError):
                raise failure
        for worker, result in zip(self._workers, results, strict=True):
            if result is None:
                self._up.add(worker.name)
            task = asyncio.create_task(self._serve(worker, why=str(result) if result else ""), name=worker.name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def score(self, group: GroupRef) -> ScoredGroup:
        """Return one verdict for each completion of `group`.

        Raises RolloutError where the group is lost, ScoringError where no worker is left.
        """
        if (verdict := self._quarantine.verdict(group.prompt_id)) is not None:
            return ScoredGroup(group, (verdict,) * len(group.completion_tokens))
        if self._failure is not None:
            raise self._failure
        job, start = _Job(group), time.monotonic()
        self._open.add(job)
        self._put(job)
        try:
            verdicts = await job.done
        finally:
            self._open.discard(job)
        self._scored(time.monotonic() - start)
        return ScoredGroup(group, verdicts)

    @property
    def actors(self) -> Mapping[str, Any]:
        """The actors of the workers that are up, by name."""
        return {worker.name: worker.actor for worker in self._workers if worker.name in self._up}

    @property
    def unfinished(self) -> int:
        """Groups that wait for their verdicts."""
        return len(self._open)

    def metrics(self) -> Mapping[str, float]:
        """Return how the pool stands, and what it has cost since it started."""
        return {
            "reward/workers": float(len(self._up)),
            "reward/workers_replaced": float(self._replaced),
            "reward/quarantined_prompts": float(self._quarantine.prompts),
        }

    def readings(self) -> list[Reading]:
        """Return how many groups wait, for Prometheus; may be called from another thread."""
        return [("reward/queued", {}, float(len(self._waiting)))]

    async def stop(self) -> None:
        """End the pool; the actors go with the placement."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _put(self, *jobs: _Job, first: bool = False) -> None:
        if first:
            self._waiting.extendleft(reversed(jobs))
        else:
            self._waiting.extend(jobs)
        self._arrived.set()

    async def _take(self) -> list[_Job]:
        """Return the next jobs for one call: one that is in doubt alone, others in company."""
        jobs: list[_Job] = []
        while not jobs:
            while self._waiting and len(jobs) < self._config.groups_per_call and not (jobs and self._waiting[0].in_doubt):
                job = self._waiting.popleft()
                if not job.done.done():  # else nobody waits for it any more
                    jobs.append(job)
                    if job.in_doubt:
                        break
            if not jobs:
                self._arrived.clear()
                await self._arrived.wait()
        return jobs

    async def _serve(self, worker: Worker, *, why: str) -> None:
        """Consumes jobs, one call at a time; waits for the first; replaces the worker when it fails; ends when that cannot be done.

        `why` says how its start failed, if it did.
        """
        while not why or not (why := await self._replace(worker, why)):
            why = await self._judge(worker, await self._take())
        self._left -= 1
        logger.warning("%s is given up, %d of %d reward workers are left", worker.name, self._left, self._config.workers)
        if not self._left:
            self._fail(ScoringError(f"no reward worker is left; {worker.name}, the last one, could not be replaced: {why}"))

    async def _judge(self, worker: Worker, jobs: Sequence[_Job]) -> str:
        """Settle `jobs`, or put them back; return why the worker must be replaced, or nothing."""
        try:
            judged = await worker.score([job.group for job in jobs])
        except RolloutError as error:
            if (lost := self._alone(jobs)) is not None:
                lost.fail(error)
            return ""
        except DeadlineError as error:
            if (job := self._alone(jobs, sure=True)) is not None:
                self._condemn(job, Verdict(None, Reason.VERIFIER_TIMEOUT, got=f"no verdict within {self._config.deadline_s:g} s"))
            return str(error)
        except ScoringError as error:
            if (job := self._alone(jobs)) is not None:
                self._condemn(job, Verdict(None, Reason.VERIFIER_ERROR, got=shown(str(error).partition("\n")[0])))
            return str(error)
        for job, verdicts in zip(jobs, judged.verdicts, strict=False):
            job.finish(verdicts)
        if judged.failure is None:
            return ""
        culprit, *untouched = jobs[len(judged.verdicts) :]
        self._condemn(culprit, judged.failure)
        self._put(*untouched, first=True)
        return judged.failure.got

    def _alone(self, jobs: Sequence[_Job], *, sure: bool = False) -> _Job | None:
        """Return the job of a failed call whose failure it is: the only one, if it failed before or its fault is `sure`.

        Where there is none, all are put back, each to be judged alone.
        """
        if len(jobs) == 1 and (sure or jobs[0].in_doubt):
            return jobs[0]
        for job in jobs:
            job.in_doubt = True
        self._put(*jobs, first=True)
        return None

    def _condemn(self, job: _Job, failure: Verdict) -> None:
        """Give a group the verdict that it cost a worker."""
        job.finish((failure,) * len(job.group.completion_tokens))
        self._quarantine.note(job.group.prompt_id, failure.got)

    async def _replace(self, worker: Worker, why: str) -> str:
        """Start another process for `worker`; return why that cannot be done, or nothing."""
        logger.warning("%s is replaced: %s", worker.name, why)
        self._up.discard(worker.name)
        for attempt in range(START_ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            worker.kill()
            try:
                await worker.start()
            except (ScoringError, DeadlineError) as error:
                why = str(error)
                logger.warning("%s: start %d of %d failed: %s", worker.name, attempt + 1, START_ATTEMPTS, why)
            else:
                self._replaced += 1
                self._up.add(worker.name)
                return ""
        return why

    def _fail(self, error: Exception) -> None:
        self._failure = error
        for job in self._open:
            job.fail(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a pool of which a part ended by an error of ours."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._fail(ScoringError(f"{task.get_name()} ended: {type(failure).__name__}: {failure}"))
