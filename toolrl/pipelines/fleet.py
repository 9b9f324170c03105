"""The engines and the learner of a run, on GPUs of their own or taking turns on shared ones: created, started, and joined by pushes.

apart      engines and ranks are created and started at once
colocated  ranks ─> which GPUs? ─> engines beside them ─> engines start, and sleep ─> the learner loads; turns from then on

The rest of a run does not know which it is: it gets a learner, a publisher and a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from toolrl.actors.engine import EngineHandle
from toolrl.actors.learner import LearnerGroup
from toolrl.actors.pool import EnginePool
from toolrl.actors.rank import SenderSettings
from toolrl.actors.start import Stage, gpus_of
from toolrl.actors.supervisor import Supervisor
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.pipelines.ranks import rank_arguments
from toolrl.protocols import Learner, Store, Weights
from toolrl.rollout.settings import EngineSettings
from toolrl.weights.gate import Gate
from toolrl.weights.membership import Membership
from toolrl.weights.push import Publisher
from toolrl.weights.turns import LearnerInTurn, StoreInTurn, Turns

MIB = 2**20


@dataclass(frozen=True)
class Fleet:
    """Engines and learner of one run."""

    config: RlConfig | SftConfig
    engines: Sequence[EngineHandle]
    members: Membership[EngineHandle]
    pool: EnginePool
    group: LearnerGroup
    gate: Gate
    turns: Turns | None
    """None: nothing is shared."""

    @classmethod
    async def create(cls, config: RlConfig | SftConfig, stage: Stage, model_path: str, stop_token_ids: Sequence[int]) -> Fleet:
        """Create the actors. Raises PlacementError or DeadlineError where shared GPUs cannot be told."""
        make_ranks = partial(stage.learners, config.learner, rank_arguments(config, model_path), _sender(config))
        ranks = make_ranks()
        shared = None
        if config.cluster.colocated:
            shared = await gpus_of(ranks, config.engine.tensor_parallel, timeout_s=config.learner.start_timeout_s)
        names = [f"engine-{i}" for i in range(config.engine.num)]
        settings = [replace(EngineSettings.from_config(config, model_path, n), stop_token_ids=tuple(stop_token_ids)) for n in names]
        engines = stage.engines(settings, config.engine, timeout_s=config.weights.timeout_s, shared=shared)
        gate = Gate()
        group = LearnerGroup(ranks, config.learner, make_ranks=make_ranks)
        if isinstance(config, RlConfig):
            algo, max_tokens = config.algo, config.sampling.max_tokens
            group = LearnerGroup(ranks, config.learner, algo=algo, max_tokens=max_tokens, make_ranks=make_ranks)
        turns = _turns(config, engines, group, gate) if config.cluster.colocated else None
        members = Membership(engines, minimum=config.engine.min_num)
        # On shared GPUs a new engine would measure free memory in the learner's turn: there, an engine that is lost ends the run.
        supervisor = Supervisor(engines, members, gate, config.engine) if turns is None and config.engine.max_restarts else None
        return cls(config, engines, members, EnginePool(engines, members, gate, supervisor), group, gate, turns)

    async def start(self) -> None:
        """Load the model into engines and learner."""
        engines = self.pool.start(timeout_s=self.config.engine.start_timeout_s)
        if self.turns is None:
            await asyncio.gather(engines, self.group.start())
            return
        await engines
        await self.turns.begin()
        await self.group.start()

    async def kill(self) -> None:
        """End every engine and rank, so that others may take their places."""
        await self.pool.stop()
        self.group.kill()
        for engine in self.engines:
            engine.kill()

    @property
    def learner(self) -> Learner:
        """What trains batches."""
        return self.group if self.turns is None else LearnerInTurn(self.group, self.turns)

    def publisher(self, probes: Sequence[NDArray[np.int32]]) -> Publisher[EngineHandle]:
        """Return what makes versions live, verified with the sequences `probes`."""
        return Publisher(
            self.members,
            self.group,
            self.gate,
            self.config.weights,
            dtype=self.config.model.dtype,
            probes=probes,
            drain_timeout_s=self.config.engine.sample_timeout_s,
            turns=self.turns,
            replaced=self.turns is None and self.config.engine.max_restarts > 0,
        )

    def store(self, store: Store, weights: Weights) -> Store:
        """Return `store` as the loop may call it at any time."""
        return store if self.turns is None else StoreInTurn(store, self.turns, weights, last_version=self.config.run.steps)


def _turns(config: RlConfig | SftConfig, engines: Sequence[EngineHandle], group: LearnerGroup, gate: Gate) -> Turns:
    return Turns(
        engines,
        group,
        gate,
        sleep_level=config.engine.sleep_level,
        engine_timeout_s=config.weights.timeout_s,
        learner_timeout_s=config.learner.step_timeout_s,
        drain_timeout_s=config.engine.sample_timeout_s,
    )


def _sender(config: RlConfig | SftConfig) -> SenderSettings:
    weights = config.weights
    return SenderSettings(weights.backend, weights.bucket_mib * MIB, config.model.dtype, weights.timeout_s)
