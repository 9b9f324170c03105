"""The training of one run by one driver: its actors, and every attempt to bring it to its end.

    start actors ─> attempt: load the newest checkpoint, rewind the folder, push, train … ─> export
                       ^                                        │ a rank died; a batch diverged, a push disagreed (run.on_divergence)
                       └── the learner made anew, from a new group of processes <┘

An attempt after a failure is what a resume is after a kill: whatever was in flight or buffered is dropped and drawn again, engines are
pushed to first, and what lay beyond the checkpoint is moved to discarded/. Engines that die meanwhile are the pool's business; only where
they share their GPUs with the learner are they made anew with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.actors.gauges import Live, Reading
from toolrl.actors.pool import EnginePool
from toolrl.actors.reward import ScorerPool
from toolrl.actors.start import Stage
from toolrl.actors.wait import objects
from toolrl.calls.render import render_completion
from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.schema import RlConfig
from toolrl.controller.loop import Controller
from toolrl.errors import DeadlineError, DivergedError, GroupLostError
from toolrl.evaluation.heldout import HeldoutEvaluator
from toolrl.monitor.outcomes import LEFT_OUT
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.status import EXPORTING, LOADING, STARTING
from toolrl.pipelines import closing
from toolrl.pipelines.fleet import Fleet
from toolrl.pipelines.inputs import Inputs
from toolrl.pipelines.live_status import Reporter, Sources
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.recovery import Recovery
from toolrl.pipelines.sinks import open_sinks
from toolrl.pipelines.store import RunStore, export_final
from toolrl.types import Batch, RunState, Sampling

FETCH_S = 600.0
"""Longest wait for groups that are to be written down; they are there already, on some node."""
PROBE_TOKENS = 1024
"""Most tokens of a probe sequence: enough to meet every weight, few enough to run after each push."""


class TrainingRun:
    """What stays the same over all attempts of a driver.

    Args:
        config: Settings.
        inputs: What the run starts from.
        folder: The run's folder, open.
        stage: Where the actors are put.
        store: The run's checkpoints.
        preemption: Told when there is a loop to stop.
        reporter: Told what the run does.
    """

    def __init__(
        self,
        config: RlConfig,
        inputs: Inputs,
        folder: RunFolder,
        stage: Stage,
        store: CheckpointStore,
        preemption: Preemption,
        reporter: Reporter,
    ) -> None:
        self._config, self._inputs, self._folder = config, inputs, folder
        self._stage, self._store, self._preemption = stage, store, preemption
        self._reporter = reporter
        self._recovery = Recovery(config, folder, store, preemption)

    async def train(self, newest: Checkpoint | None) -> None:
        """Start the actors, bring them to where the run stands, and train to its end. Raises what no attempt could recover from."""
        start = time.monotonic()
        self._reporter.beat()
        live = Live(self._folder.path.name, self._readings, "driver", alone=True)
        self._scorer = ScorerPool(
            lambda i: self._stage.reward_worker(i, self._inputs.verifier, self._config.reward),
            self._config.reward,
            scored=partial(live.observe, "reward/scoring_s", {}),
        )
        self._fleet = await self._new_fleet()
        self._follow(newest.state if newest else RunState())
        live.start()
        try:
            await asyncio.gather(self._fleet.start(), self._scorer.start())
            await self._recovery.through(newest, attempt=self._attempt, anew=self._anew, start=start)
        finally:
            await self._scorer.stop()
            await self._fleet.pool.stop()
            live.stop()

    def _actors(self) -> dict[str, Any]:
        return {**self._fleet.pool.actors, **self._scorer.actors, **self._fleet.group.actors}

    def _readings(self) -> list[Reading]:
        return [*self._fleet.pool.readings(), *self._scorer.readings()]

    def _follow(self, state: RunState, loop: Controller | None = None) -> None:
        """Let status.json tell of the fleet and the loop of now."""
        members, scorer = self._fleet.members, self._scorer
        self._reporter.follow(
            Sources(lambda: loop.state if loop else state, engines=lambda: members.states, scoring=lambda: scorer.unfinished)
        )

    async def _new_fleet(self) -> Fleet:
        return await Fleet.create(self._config, self._stage, self._inputs.model_path, self._inputs.tokenizer.stop_ids)

    async def _load(self, newest: Checkpoint | None, start: float) -> RunState:
        """Bring the learner and the folder to a checkpoint; None: to the start. Returns the state to go on from."""
        state = newest.state if newest else RunState()
        self._follow(state)
        self._reporter.enter(LOADING)
        if newest:
            await self._fleet.group.load(newest.path, timeout_s=self._config.checkpoint.timeout_s)
        moved = self._folder.rewind(state.version)
        print(closing.started(time.monotonic() - start, moved), flush=True)
        if said := await self._run_store().mend_best(state, self._folder.lost):
            print(said, flush=True)
        return state

    def _run_store(self) -> RunStore:
        return RunStore(self._store, self._fleet.group, self._inputs.template, self._config.checkpoint)

    async def _attempt(self, newest: Checkpoint | None, start: float) -> None:
        """Train from a checkpoint to the end of the run."""
        state = await self._load(newest, start)
        config, inputs, folder, fleet = self._config, self._inputs, self._folder, self._fleet
        write_prompts(folder.prompts, {"train": map(inputs.train.draw, range(len(inputs.train))), "heldout": inputs.heldout})
        publisher = fleet.publisher(probes(inputs, config.weights.probe_prompts, config.max_model_len - 1))
        sinks = open_sinks(config, folder, state.version, self._actors)
        try:
            controller = Controller(
                loop=config.loop,
                evaluation=config.eval,
                checkpoint=config.checkpoint,
                sampling=sampling_of(config),
                algo=config.algo,
                prompts=inputs.train,
                engines=fleet.pool,
                scorer=self._scorer,
                learner=fleet.learner,
                weights=publisher,
                evaluator=_evaluator(config, inputs, fleet.pool, self._scorer),
                store=fleet.store(self._run_store(), publisher),
                rollout_log=RolloutWriter(
                    folder.rollouts,
                    keep=config.monitor.rollouts,
                    fetch=_to_log,
                    attempt=folder.attempt,
                ),
                sink=sinks,
                state=state,
                left_out=folder.left_out(),
                on_stage=self._reporter.enter,
            )
            self._follow(state, controller)
            self._preemption.ask(controller.preempt)
            try:
                await controller.run(config.run.steps)
            except DivergedError as error:
                if controller.failed and config.run.on_divergence == "rewind":
                    folder.leave_out(_draws_of(controller.failed), f"{LEFT_OUT}{error}")
                raise
            self._reporter.enter(EXPORTING)
            await export_final(fleet.group, inputs.template, folder.path, timeout_s=config.checkpoint.timeout_s)
        finally:
            sinks.close()

    async def _anew(self) -> None:
        """Make the learner anew; where it shares its GPUs, the engines with it."""
        self._reporter.enter(STARTING)
        if self._fleet.turns is None:
            await self._fleet.group.rebuild()
        else:
            await self._fleet.kill()
            self._fleet = await self._new_fleet()
            await self._fleet.start()


async def _to_log(handles: Sequence[Any]) -> list[Any]:
    """Return groups that are to be written down. Raises GroupLostError: their draws are made again, from the newest checkpoint."""
    try:
        return await objects("groups to log", handles, timeout_s=FETCH_S, error=GroupLostError)
    except DeadlineError as error:
        raise GroupLostError(str(error)) from error


def _draws_of(batch: Batch) -> list[int]:
    return [trajectory.scored.group.draw for trajectory in batch.trajectories]


def sampling_of(config: RlConfig) -> Sampling:
    """Return how training completions are sampled."""
    section = config.sampling
    return Sampling(n=section.n, temperature=section.temperature, top_p=section.top_p, max_tokens=section.max_tokens)


def probes(inputs: Inputs, number: int, max_tokens: int) -> list[NDArray[np.int32]]:
    """Return the fixed sequences of the parity probe: prompts of the run, each with its right answer, of at most `max_tokens`."""
    sequences = []
    for draw in map(inputs.train.draw, range(min(number, len(inputs.train)))):
        answer = inputs.tokenizer.encode_completion(render_completion(draw.prompt.reference, "probe"))
        sequences.append(np.concatenate([draw.token_ids, answer])[: min(PROBE_TOKENS, max_tokens)])
    return sequences


def _evaluator(config: RlConfig, inputs: Inputs, pool: EnginePool, scorer: ScorerPool) -> HeldoutEvaluator | None:
    if not inputs.heldout:
        return None
    return HeldoutEvaluator(
        inputs.heldout, engines=pool, scorer=scorer, temperature=config.eval.temperature, max_tokens=config.sampling.max_tokens
    )
