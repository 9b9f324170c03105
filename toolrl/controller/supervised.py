"""The loop of supervised training: demonstrations become weights, which are measured now and then.

    number ─> batch ─> learner.sft_step ─> metrics ─> Sink                  a line for each optimizer step
                             │
                             ├─> learner.sft_losses ─> loss                 on held-out demonstrations } before the first step, after the
                             ├─> Weights.publish ─> Evaluator ─> reward     of greedy answers          } last, and every so many
                             └─> Store                                      once the lines of every step up to it are on disk

A version is an optimizer step. Batches are a function of their number, so a run resumes from one: whatever came after its newest checkpoint
is trained again, to the same weights. Engines get the weights only to be asked. One thing happens at a time, and each part bounds its own
waits; whatever one raises ends the run, by the part's name.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from toolrl.config.schema import CheckpointConfig
from toolrl.config.sft import SftEvalConfig
from toolrl.controller.due import checkpoint_due, evaluation_due, require_end
from toolrl.controller.parts import part
from toolrl.controller.rejoin import while_serving
from toolrl.controller.stopwatch import Stopwatch
from toolrl.errors import CheckpointError, LearnerError, RunError, WeightSyncError
from toolrl.learner.packing import Demonstration
from toolrl.protocols import Evaluator, Sink, Store, Weights
from toolrl.types import RunState, StepReport, WeightVersion

Batches = Callable[[int], Sequence[Demonstration]]
"""The demonstrations of an optimizer step, counted from 0."""


class SupervisedLearner(Protocol):
    """Owns the weights."""

    async def sft_step(self, rows: Sequence[Demonstration]) -> StepReport:
        """Take one optimizer step of cross-entropy. Raises LearnerError."""
        ...

    async def sft_losses(self, rows: Sequence[Demonstration]) -> list[tuple[float, int]]:
        """Return summed loss (nats) and number of tokens of each demonstration, in any order. Raises LearnerError."""
        ...


class SupervisedLoop:
    """Trains, measures, and knows what is safe on disk.

    Args:
        evaluation: When to measure.
        checkpoint: When to save.
        batches: Demonstrations by number of the step.
        heldout: Demonstrations for the held-out loss; may be empty.
        learner: Trains and measures.
        weights: Makes versions live in the engines; None: there are none.
        evaluator: Measures what is live; None: nothing is.
        store: Saves checkpoints.
        sink: Receives metrics.
        state: Where to go on from.
        clock: Seconds, never going back.
        on_stage: Told which stage the loop is in; see `Stopwatch`.
    """

    def __init__(
        self,
        *,
        evaluation: SftEvalConfig,
        checkpoint: CheckpointConfig,
        batches: Batches,
        heldout: Sequence[Demonstration],
        learner: SupervisedLearner,
        weights: Weights | None,
        evaluator: Evaluator | None,
        store: Store,
        sink: Sink,
        state: RunState,
        clock: Callable[[], float] = time.monotonic,
        on_stage: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.state = state
        self._evaluation, self._checkpoint = evaluation, checkpoint
        self._batches, self._heldout = batches, heldout
        self._learner, self._weights, self._evaluator = learner, weights, evaluator
        self._store, self._sink = store, sink
        self._watch = Stopwatch(clock, on_stage)
        self._saved = state.version
        self._preempted = False

    def preempt(self) -> None:
        """Ask the run to end: the step it is taking is finished, and then all is saved."""
        self._preempted = True

    async def run(self, steps: int) -> RunState:
        """Train until `steps` optimizer steps are taken, measured and saved.

        Raises the failure of a part, and PreemptedError once `preempt` was called and the state is saved.
        """
        if self.state.version >= steps:
            return self.state
        if self.state.version == 0 and (metrics := await self._measure()):
            self._write(metrics)
        self._watch.lap()
        while self.state.version < steps and not self._preempted:
            saved = await self._save() if checkpoint_due(self.state, self._saved, self._checkpoint) else {}
            trained = await self._step()
            due = evaluation_due(self.state.version, self._evaluation.every, steps)
            self._write(saved | trained | (await self._measure() if due else {}))
        if self.state.version != self._saved:
            await self._save()
        require_end(self.state, steps)
        return self.state

    async def _step(self) -> dict[str, float]:
        number = self.state.version
        with part(RunError, f"demonstrations of step {number + 1}"):
            rows = self._batches(number)
        with self._watch.stage("learner"), part(LearnerError, f"learner, taking step {number + 1}"):
            report = await self._learner.sft_step(rows)
        self.state = replace(self.state, version=WeightVersion(number + 1), optimizer_steps=report.optimizer_steps)
        return dict(report.metrics)

    async def _measure(self) -> dict[str, float]:
        """Measure the present weights, and remember them if they are the best. The learner comes first: it may have to leave the GPUs."""
        version, metrics = self.state.version, dict[str, float]()
        if self._heldout:
            with self._watch.stage("eval"), part(LearnerError, f"learner, measuring version {version}"):
                metrics |= loss_metrics(await self._learner.sft_losses(self._heldout))
        if self._weights is not None:
            metrics |= await self._publish(version)
        if self._weights is not None and self._evaluator is not None:
            with self._watch.stage("eval"), part(RunError, f"evaluation of version {version}"):
                again = partial(self._publish, version)
                metrics |= await while_serving(self._evaluator.evaluate(version), self._weights, again) or {}
        score = _score(metrics)
        if score is not None and (self.state.best_heldout is None or score > self.state.best_heldout):
            self.state = replace(self.state, best_heldout=score, best_version=version)
        return metrics

    async def _publish(self, version: WeightVersion) -> Mapping[str, float]:
        assert self._weights is not None
        with self._watch.stage("push"), part(WeightSyncError, f"weights, pushing version {version}"):
            return (await self._weights.publish(version)).metrics

    async def _save(self) -> dict[str, float]:
        with self._watch.stage("checkpoint"), part(CheckpointError, f"store, saving version {self.state.version}"):
            metrics = dict(await self._store.save(self.state))
        self._saved = self.state.version
        return metrics

    def _write(self, metrics: dict[str, float]) -> None:
        lap = self._watch.lap()
        del lap["loop/wait_generation_s"]  # nothing is sampled to train on
        if "learner/tokens" in metrics and lap["loop/step_s"] > 0:
            lap["loop/tokens_per_s"] = metrics["learner/tokens"] / lap["loop/step_s"]
        with part(RunError, f"metrics sink, writing version {self.state.version}"):
            self._sink.write(self.state.version, metrics | lap)


def _score(metrics: Mapping[str, float]) -> float | None:
    """Return what makes one version better than another: greedy reward, or without engines how low the held-out loss is."""
    if "heldout/greedy" in metrics:
        return metrics["heldout/greedy"]
    return -metrics["heldout/loss"] if "heldout/loss" in metrics else None


def loss_metrics(losses: Sequence[tuple[float, int]]) -> dict[str, float]:
    """Return the mean loss of all tokens of some demonstrations and its standard error.

    `mean = Σ L / Σ T` over n demonstrations, each with a summed loss L and T tokens. Tokens of one demonstration depend on each other, so
    the error is that of a ratio over demonstrations: `sqrt(n / (n - 1) Σ (L - mean T)²) / Σ T`.

    Args:
        losses: Summed loss in nats, and number of tokens, of each demonstration.
    """
    tokens = sum(number for _, number in losses)
    mean = math.fsum(loss for loss, _ in losses) / tokens
    scatter = math.fsum((loss - mean * number) ** 2 for loss, number in losses) * len(losses) / max(len(losses) - 1, 1)
    return {"heldout/loss": mean, "heldout/loss_stderr": math.sqrt(scatter) / tokens}
