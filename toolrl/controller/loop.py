"""The loop: prompts become weights. One for synchronous and bounded-staleness asynchronous training.

                          one task for each draw, many at once
    PromptSource ─> Draw ─> Engines.sample ─> GroupRef ─> Scorer.score ─> ScoredGroup
          ^                                                                    │ oldest draw first
          │ slots freed                                                        v
    RunState <─ commit <─ Weights.publish <─ Learner.step <─ Batch <─ advantages, dull groups left in or replaced
          │
          ├─> RolloutLog.write     one task, off the loop, awaited before the next one and before a checkpoint
          └─> Evaluator ─> Sink ─> Store     in line: evaluation holds the version, a checkpoint has everything before it on disk

There are `(max_staleness + 1) × prompts_per_batch` slots. One is taken when a prompt is drawn and freed when the weights trained on it are
live; groups train in the order they were drawn. So no group trains more than `max_staleness` versions after it was sampled, batches do
not depend on timing, and a run resumes from two numbers: version and draws taken. 0 is the synchronous on-policy loop.
A dull group that is replaced (`refill`) takes no slot; see `window` for what is drawn ahead in its place.

The parts bound their own waits. Whatever one raises ends the run, by the part's name. The loop opens and closes none of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.config.schema import CheckpointConfig, EvalConfig, LoopConfig
from toolrl.controller.due import checkpoint_due, evaluation_due, require_end
from toolrl.controller.parts import first_failure, part
from toolrl.controller.rejoin import while_serving
from toolrl.controller.report import batch_metrics, nothing_to_learn, rates
from toolrl.controller.rolling import Roller
from toolrl.controller.stopwatch import Stopwatch
from toolrl.controller.window import Window
from toolrl.errors import (
    CheckpointError,
    DeadlineError,
    DisagreementError,
    DivergedError,
    LearnerError,
    NothingToLearnError,
    RolloutError,
    RunError,
    WeightSyncError,
)
from toolrl.protocols import Engines, Evaluator, Learner, PromptSource, RolloutLog, Scorer, Sink, Store, Weights
from toolrl.types import Batch, RunState, Sampling, ScoredGroup, StepReport, TrainedGroup, WeightVersion


class Controller:
    """Keeps engines, scorer and learner fed, never trains stale data, and knows what is safe on disk.

    Args:
        loop: Pace.
        evaluation: When to evaluate.
        checkpoint: When to save.
        sampling: How training completions are sampled.
        algo: How rewards become advantages.
        prompts: Draws by number.
        engines: Sample groups.
        scorer: Verifies groups.
        learner: Trains batches.
        weights: Makes versions live.
        evaluator: Measures versions; None: no evaluation.
        store: Saves checkpoints.
        rollout_log: Keeps trained and replaced groups.
        sink: Receives metrics.
        state: Where to go on from.
        left_out: Draws that are not to be trained, each with the reason.
        clock: Seconds, never going back.
        on_stage: Told which stage the loop is in; see `Stopwatch`.
    """

    def __init__(
        self,
        *,
        loop: LoopConfig,
        evaluation: EvalConfig,
        checkpoint: CheckpointConfig,
        sampling: Sampling,
        algo: AlgoConfig,
        prompts: PromptSource,
        engines: Engines,
        scorer: Scorer,
        learner: Learner,
        weights: Weights,
        evaluator: Evaluator | None,
        store: Store,
        rollout_log: RolloutLog,
        sink: Sink,
        state: RunState,
        left_out: Mapping[int, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_stage: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.state = state
        self.failed: Batch | None = None
        """The batch that could not be trained, if that ended the run."""
        self._left_out = left_out or {}
        self._loop, self._evaluation, self._checkpoint = loop, evaluation, checkpoint
        self._sampling, self._algo = sampling, algo
        self._roller = Roller(prompts, engines, scorer, sampling)
        self._engines, self._scorer = engines, scorer
        self._learner, self._weights, self._evaluator = learner, weights, evaluator
        self._store, self._rollout_log, self._sink = store, rollout_log, sink
        self._watch = Stopwatch(clock, on_stage)
        self._saved = state.version
        self._writing: asyncio.Task[None] | None = None
        self._preempted = asyncio.Event()

    def preempt(self) -> None:
        """Ask the run to end: a batch that is not complete is given up, one that trains is made live, and then all is saved."""
        self._preempted.set()

    async def run(self, steps: int) -> RunState:
        """Train until version `steps` is live, evaluated and saved.

        Raises the first failure of a part, the others as its notes; NothingToLearnError; PreemptedError once `preempt` was called and the
        state is saved; CancelledError once every task has ended.
        """
        if self.state.version >= steps:
            return self.state
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._train(steps, tasks)
        except BaseExceptionGroup as group:
            failure = first_failure(group)
            raise failure from failure.__cause__
        return self.state

    async def _train(self, steps: int, tasks: asyncio.TaskGroup) -> None:
        """Consumes groups in draw order; waits for each part in turn; is unblocked by the draws' tasks; produces versions."""
        window = Window(self._loop, self.state.draws_taken, lambda n: tasks.create_task(self._roller.roll_out(n), name=f"draw {n}"))
        await self._start()
        while self.state.version < steps:
            window.fill(self.state.version, self._loop.prompts_per_batch, self._slots(steps))
            saved = await self._save() if checkpoint_due(self.state, self._saved, self._checkpoint) else {}
            batch = await self._batch_unless_preempted(window)
            if batch is None:
                break
            self._write(saved | await self._next_version(batch, window, steps, tasks))
        window.close()
        if self.state.version != self._saved:
            await self._save()
        require_end(self.state, steps)

    async def _batch_unless_preempted(self, window: Window) -> Batch | None:
        """Wait for the next batch or for `preempt`, whichever comes first."""
        with self._watch.stage("wait_generation"):
            return await while_serving(self._next_batch(window), self._weights, self._publish_again, given_up=self._preempted)

    async def _next_version(self, batch: Batch, window: Window, steps: int, tasks: asyncio.TaskGroup) -> dict[str, float]:
        """Train `batch`, make the weights live, and measure them if that is due. Returns the metrics of the new version."""
        metrics = batch_metrics(batch, self._algo, max_tokens=self._sampling.max_tokens, max_staleness=self._loop.max_staleness)
        metrics |= {"loop/groups_in_flight": float(window.unfinished)}
        metrics |= self._scorer.metrics()
        report, pushed = await self._learn_and_push(batch)
        metrics |= {**report.metrics, **pushed}
        await self._keep_rollouts(batch, report.trained, tasks)
        due = evaluation_due(self.state.version, self._evaluation.every, steps)
        measured = await self._evaluate(last=self.state.version == steps) if due else {}
        return metrics | measured | await self._engines_did()

    async def _engines_did(self) -> dict[str, float]:
        """Return what the engines did since the last line of metrics, evaluation included."""
        with part(RolloutError, "engines, saying what they did"):
            return dict(await self._engines.metrics())

    async def _start(self) -> None:
        """Push before the first rollout: after a resume the engines hold other weights than the learner. Version 0 is also measured."""
        metrics = await self._publish(self.state.version)
        if self.state.version == 0:
            self._write(metrics | await self._evaluate() | await self._engines_did())
        self._watch.lap()

    def _slots(self, steps: int) -> int:
        """Slots, but none for a batch after the last."""
        return min(self._loop.max_staleness + 1, steps - self.state.version) * self._loop.prompts_per_batch

    async def _next_batch(self, window: Window) -> Batch:
        """Take groups in draw order until `prompts_per_batch` are there to train; what would be stale afterwards is cancelled at once."""
        version, size = self.state.version, self._loop.prompts_per_batch
        trained: list[ScoredGroup] = []
        dropped: list[ScoredGroup] = []
        discarded: list[tuple[ScoredGroup, str]] = []
        in_row: list[ScoredGroup] = []
        while len(trained) < size:
            scored = await window.next()
            if why := self._left_out.get(scored.group.draw):
                discarded.append((scored, why))
                window.top_up(version, size - len(trained))
                continue
            if not (self._loop.refill and scored.dull):
                trained.append(scored)
                in_row.clear()
                continue
            dropped.append(scored)
            in_row.append(scored)
            if len(in_row) > self._loop.max_dull_in_row:
                raise NothingToLearnError(nothing_to_learn(in_row, self._loop.max_dull_in_row))
            window.top_up(version, size - len(trained))
        window.expire(WeightVersion(version + 1 - self._loop.max_staleness))
        return Batch(version, trajectories(self._algo, trained, self._sampling.max_tokens), tuple(dropped), tuple(discarded))

    async def _learn_and_push(self, batch: Batch) -> tuple[StepReport, dict[str, float]]:
        """Train `batch` and commit its version. Returns the report and the push's metrics.

        A failed push commits nothing, so what was sampled under it is never trained.
        """
        with self._watch.stage("learner"), part(LearnerError, f"learner, training version {batch.version}"):
            try:
                report: StepReport = await self._learner.step(batch)
            except DivergedError as error:
                self.failed = batch
                await self._keep_failed(batch, error)
                raise
        version = WeightVersion(batch.version + 1)
        try:
            pushed = await self._publish(version)
        except DisagreementError as error:
            await self._keep_failed(batch, error)
            raise
        self.state = replace(
            self.state,
            version=version,
            draws_taken=self.state.draws_taken + batch.draws_taken,
            optimizer_steps=report.optimizer_steps,
        )
        return report, pushed

    async def _keep_failed(self, batch: Batch, error: RunError) -> None:
        """Keep a batch behind which something is wrong, for a replay."""
        with part(RunError, f"rollout log, keeping the batch of version {batch.version}"):
            await self._rollout_log.keep_failed(batch, str(error))

    async def _publish(self, version: WeightVersion) -> dict[str, float]:
        with self._watch.stage("push"), part(WeightSyncError, f"weights, pushing version {version}"):
            return dict((await self._weights.publish(version)).metrics)

    async def _publish_again(self) -> None:
        await self._publish(self.state.version)

    async def _keep_rollouts(self, batch: Batch, trained: Mapping[int, TrainedGroup], tasks: asyncio.TaskGroup) -> None:
        """Start writing `batch`, once the one before is written: a slow disk slows the run instead of filling memory."""
        await self._rollouts_written()
        self._writing = tasks.create_task(self._write_rollouts(batch, trained), name=f"rollouts of version {self.state.version}")

    async def _write_rollouts(self, batch: Batch, trained: Mapping[int, TrainedGroup]) -> None:
        """Consumes a committed batch; waits for the disk; is unblocked by it alone; produces the batch's file."""
        with part(RunError, f"rollout log, writing version {batch.version + 1}"):
            await self._rollout_log.write(batch, trained)

    async def _rollouts_written(self) -> None:
        if self._writing is None:
            return
        try:
            async with asyncio.timeout(self._checkpoint.timeout_s):
                await self._writing
        except DeadlineError:  # of a part
            raise
        except TimeoutError as late:
            raise DeadlineError(
                f"{self._writing.get_name()}: not on the disk within checkpoint.timeout_s={self._checkpoint.timeout_s:g} s; "
                "look at the file system of run.dir, then run again to resume"
            ) from late
        self._writing = None

    async def _evaluate(self, *, last: bool = False) -> dict[str, float]:
        """Measure the live version. The loop waits here, so nothing is pushed meanwhile; new draws wait too, so its time is its own.

        `preempt` cuts it short: the time that is left is for the checkpoint. What ends with the `last` version is measured all the same.
        """
        if self._evaluator is None:
            return {}
        with self._watch.stage("eval"), part(RunError, f"evaluation of version {self.state.version}"):
            evaluating, given_up = self._evaluator.evaluate(self.state.version), None if last else self._preempted
            measured = await while_serving(evaluating, self._weights, self._publish_again, given_up=given_up)
        metrics = dict(measured or {})
        reward = metrics.get("heldout/reward")
        if reward is not None and (self.state.best_heldout is None or reward > self.state.best_heldout):
            self.state = replace(self.state, best_heldout=reward, best_version=self.state.version)
        return metrics

    async def _save(self) -> dict[str, float]:
        """Save the state, after the rollouts and metrics of every version up to it are on disk."""
        with self._watch.stage("checkpoint"):
            await self._rollouts_written()
            with part(CheckpointError, f"store, saving version {self.state.version}"):
                metrics = await self._store.save(self.state)
        self._saved = self.state.version
        return dict(metrics)

    def _write(self, metrics: dict[str, float]) -> None:
        metrics = metrics | self._watch.lap()
        if "loop/completions" in metrics:
            metrics |= rates(metrics)
        with part(RunError, f"metrics sink, writing version {self.state.version}"):
            self._sink.write(self.state.version, metrics)
