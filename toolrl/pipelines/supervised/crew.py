"""Who takes part in a supervised run: the learner alone, or engines and reward workers beside it that measure what it has learned.

    nothing to answer   stage ─> learner ranks
    prompts to answer   stage ─> Fleet (engines, ranks, their turns on shared GPUs) + reward workers ─> weights, evaluator

The loop does not know which it is: it gets a learner, and perhaps what makes weights live and what measures them.

After a lost learner the ranks are made anew; on shared GPUs the engines with them. Reward workers stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from toolrl.actors.gauges import Reading
from toolrl.actors.learner import LearnerGroup
from toolrl.actors.placement import Bundle, bundles_of, learner_bundles
from toolrl.actors.reward import ScorerPool
from toolrl.actors.start import Stage
from toolrl.config.sft import SftConfig
from toolrl.controller.supervised import SupervisedLearner
from toolrl.errors import RunError
from toolrl.evaluation.heldout import HeldoutEvaluator
from toolrl.learner.packing import Demonstration
from toolrl.pipelines.fleet import Fleet
from toolrl.pipelines.ranks import rank_arguments
from toolrl.pipelines.supervised.inputs import Judged, SupervisedInputs
from toolrl.protocols import Evaluator, Store, Weights
from toolrl.types import StepReport
from toolrl.weights.turns import StoreInTurn, Turns

PROBE_TOKENS = 1024
"""Most tokens of a probe sequence: enough to meet every weight, few enough to run after each push."""


@dataclass(frozen=True)
class Measuring:
    """What measures greedy answers."""

    weights: Weights
    evaluator: Evaluator
    scorer: ScorerPool
    fleet: Fleet

    @property
    def turns(self) -> Turns | None:
        """Who is on the GPUs when; None: engines and learner have devices of their own."""
        return self.fleet.turns


@dataclass(frozen=True)
class Crew:
    """The actors of one run, started."""

    inputs: SupervisedInputs
    group: LearnerGroup
    measuring: Measuring | None

    @classmethod
    async def start(cls, inputs: SupervisedInputs, stage: Stage, scored: Callable[[float], object] = lambda seconds: None) -> Crew:
        """Create the actors and load the model into all of them; `scored` is told how long verdicts took, as by `ScorerPool`.

        Raises DeadlineError, LearnerError, RolloutError or ScoringError.
        """
        config = inputs.config
        if inputs.judged is None:
            make_ranks = partial(stage.learners, config.learner, rank_arguments(config, inputs.model_path), None)
            group = LearnerGroup(make_ranks(), config.learner, make_ranks=make_ranks)
            await group.start()
            return cls(inputs, group, None)
        verifier = inputs.judged.verifier
        scorer = ScorerPool(lambda i: stage.reward_worker(i, verifier, config.reward), config.reward, scored)
        fleet = await _fleet(inputs, stage)
        await asyncio.gather(fleet.start(), scorer.start())
        return cls(inputs, fleet.group, _measuring(inputs, inputs.judged, fleet, scorer))

    async def anew(self, stage: Stage) -> Crew:
        """Return the crew to go on with after a lost learner: its ranks are new processes with the start model. This one is of no use then.

        Raises as `start` does; it may be called again then.
        """
        measuring, judged = self.measuring, self.inputs.judged
        if measuring is None or judged is None:
            await self.group.rebuild()
            return self
        fleet = measuring.fleet
        if fleet.turns is None:
            await self.group.rebuild()
        else:
            await fleet.kill()
            fleet = await _fleet_anew(self.inputs, stage)
        # New ranks are in no transfer group: whoever pushes must know.
        return replace(self, group=fleet.group, measuring=_measuring(self.inputs, judged, fleet, measuring.scorer))

    @property
    def learner(self) -> SupervisedLearner:
        """What trains and measures demonstrations."""
        turns = self.measuring.turns if self.measuring else None
        return self.group if turns is None else LearnerInTurn(self.group, turns)

    @property
    def actors(self) -> dict[str, Any]:
        """Every actor that is up, by name."""
        beside = {**self.measuring.fleet.pool.actors, **self.measuring.scorer.actors} if self.measuring else {}
        return {**beside, **self.group.actors}

    def readings(self) -> list[Reading]:
        """Return how engines and reward workers stand, for Prometheus; may be called from another thread."""
        return [*self.measuring.fleet.pool.readings(), *self.measuring.scorer.readings()] if self.measuring else []

    def store(self, store: Store) -> Store:
        """Return `store` as the loop may call it at any time."""
        if self.measuring is None or self.measuring.turns is None:
            return store
        # Engines sleep on after a checkpoint: whoever asks them next pushes first.
        return StoreInTurn(store, self.measuring.turns, self.measuring.weights, last_version=0)

    async def stop(self) -> None:
        """End the reward workers and the supervision of engines; the other actors go with their placement."""
        if self.measuring is not None:
            await self.measuring.scorer.stop()
            await self.measuring.fleet.pool.stop()


class LearnerInTurn:
    """Implements `SupervisedLearner`: `learner`, once it has the GPUs. They stay its own until a push."""

    def __init__(self, learner: SupervisedLearner, turns: Turns) -> None:
        self._learner = learner
        self._turns = turns

    async def sft_step(self, rows: Sequence[Demonstration]) -> StepReport:
        """Take one optimizer step in the learner's turn."""
        await self._turns.to_learner()
        return await self._learner.sft_step(rows)

    async def sft_losses(self, rows: Sequence[Demonstration]) -> list[tuple[float, int]]:
        """Measure demonstrations in the learner's turn."""
        await self._turns.to_learner()
        return await self._learner.sft_losses(rows)


def bundles(config: SftConfig) -> tuple[Bundle, ...]:
    """Return what a run asks of the cluster."""
    if config.eval.heldout:
        return bundles_of(config)
    return learner_bundles(config.learner, on_gpu=config.cluster.device == "cuda")


async def _fleet(inputs: SupervisedInputs, stage: Stage) -> Fleet:
    return await Fleet.create(inputs.config, stage, inputs.model_path, inputs.tokenizer.stop_ids)


async def _fleet_anew(inputs: SupervisedInputs, stage: Stage) -> Fleet:
    """Create and start engines and ranks in place of others that were ended. Raises as `Crew.start` does, and leaves none behind then."""
    fleet = await _fleet(inputs, stage)
    try:
        await fleet.start()
    except RunError:
        await fleet.kill()
        raise
    return fleet


def _measuring(inputs: SupervisedInputs, judged: Judged, fleet: Fleet, scorer: ScorerPool) -> Measuring:
    config = inputs.config
    longest = min(PROBE_TOKENS, config.max_model_len - 1)
    publisher = fleet.publisher([row.token_ids[:longest] for row in inputs.train.rows[: config.weights.probe_prompts]])
    evaluator = HeldoutEvaluator(judged.draws, engines=fleet.pool, scorer=scorer, temperature=None, max_tokens=config.eval.max_tokens)
    return Measuring(publisher, evaluator, scorer, fleet)
