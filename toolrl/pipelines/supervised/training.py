"""The training of one supervised run by one driver: its actors, and every attempt to bring it to its end.

    start actors ─> attempt: load the newest checkpoint, rewind the folder, train, measure … ─> export
                       ^                                        │ a rank died, hangs or was cut off
                       └── the learner made anew, from a new group of processes <┘

A batch is a function of its number, so one that diverges would do so again: it ends the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from toolrl.actors.gauges import Live
from toolrl.actors.start import Stage
from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.controller.supervised import SupervisedLoop
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.status import EXPORTING, LOADING, STARTING
from toolrl.pipelines.closing import started
from toolrl.pipelines.live_status import Reporter, Sources
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.recovery import Recovery
from toolrl.pipelines.sinks import open_sinks
from toolrl.pipelines.store import RunStore, export_final
from toolrl.pipelines.supervised.batches import batch_of
from toolrl.pipelines.supervised.crew import Crew
from toolrl.pipelines.supervised.inputs import SupervisedInputs
from toolrl.types import RunState


class SupervisedRun:
    """What stays the same over all attempts of a driver.

    Args:
        inputs: What the run starts from.
        folder: The run's folder, open.
        stage: Where the actors are put.
        store: The run's checkpoints.
        preemption: Told when there is a loop to stop.
        reporter: Told what the run does.
    """

    def __init__(
        self,
        inputs: SupervisedInputs,
        folder: RunFolder,
        stage: Stage,
        store: CheckpointStore,
        preemption: Preemption,
        reporter: Reporter,
    ) -> None:
        self._inputs, self._folder, self._stage, self._store, self._preemption = inputs, folder, stage, store, preemption
        self._reporter = reporter
        self._recovery = Recovery(inputs.config, folder, store, preemption)

    async def train(self, newest: Checkpoint | None) -> None:
        """Start the actors, bring them to where the run stands, and train to its end. Raises what no attempt could recover from."""
        start = time.monotonic()
        self._reporter.beat()
        live = Live(self._folder.path.name, lambda: self._crew.readings(), "driver", alone=True)
        self._crew = await Crew.start(self._inputs, self._stage, partial(live.observe, "reward/scoring_s", {}))
        live.start()
        try:
            await self._recovery.through(newest, attempt=self._attempt, anew=self._anew, start=start)
        finally:
            await self._crew.stop()
            live.stop()

    async def _anew(self) -> None:
        self._reporter.enter(STARTING)
        self._crew = await self._crew.anew(self._stage)

    async def _attempt(self, newest: Checkpoint | None, start: float) -> None:
        """Bring the learner and the folder to a checkpoint (None: to the start), and train to the end of the run."""
        inputs, config, folder, crew = self._inputs, self._inputs.config, self._folder, self._crew
        state = newest.state if newest else RunState()
        self._follow(lambda: state)
        self._reporter.enter(LOADING)
        if newest:
            await crew.group.load(newest.path, timeout_s=config.checkpoint.timeout_s)
        print(started(time.monotonic() - start, folder.rewind(state.version)), flush=True)
        store = RunStore(self._store, crew.group, inputs.template, config.checkpoint)
        if said := await store.mend_best(state, folder.lost):
            print(said, flush=True)
        sinks = open_sinks(config, folder, state.version, lambda: crew.actors)
        try:
            loop = SupervisedLoop(
                evaluation=config.eval,
                checkpoint=config.checkpoint,
                batches=lambda step: batch_of(step, inputs.train.rows, config, inputs.tokenizer.size),
                heldout=inputs.heldout.rows if inputs.heldout else (),
                learner=crew.learner,
                weights=crew.measuring.weights if crew.measuring else None,
                evaluator=crew.measuring.evaluator if crew.measuring else None,
                store=crew.store(store),
                sink=sinks,
                state=state,
                on_stage=self._reporter.enter,
            )
            self._follow(lambda: loop.state)
            self._preemption.ask(loop.preempt)
            await loop.run(config.run.steps)
            self._reporter.enter(EXPORTING)
            await export_final(crew.group, inputs.template, folder.path, timeout_s=config.checkpoint.timeout_s)
        finally:
            sinks.close()

    def _follow(self, state: Callable[[], RunState]) -> None:
        """Let status.json tell of the crew of now."""
        measuring = self._crew.measuring
        if measuring is None:
            self._reporter.follow(Sources(state))
            return
        members, scorer = measuring.fleet.members, measuring.scorer
        self._reporter.follow(Sources(state, engines=lambda: members.states, scoring=lambda: scorer.unfinished))
