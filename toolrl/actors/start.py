"""A run's actors: created in their bundles, with the environment each needs.

The environment is set by Ray before a process starts, because vLLM, DeepSpeed and OpenMP read theirs when they are imported.

GPUs that are shared: Ray gives a GPU to one actor, and a share of one (`num_gpus=0.5`) says nothing of which. So in a colocated run each
learner rank asks for its whole GPU, and says which it got; the engine of the same bundle asks for none and is told by
`CUDA_VISIBLE_DEVICES` to use those of its ranks, in their order: worker k of the engine beside rank k of the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import ray
from ray.util.placement_group import PlacementGroup

from toolrl.actors.cluster import nodes_of, options_for
from toolrl.actors.engine import MAX_CALLS, EngineActor, EngineHandle
from toolrl.actors.logs import telling_name
from toolrl.actors.placement import Placement, arranged
from toolrl.actors.rank import LearnerActor, SenderSettings
from toolrl.actors.reward_worker import RewardActor, RewardHandle
from toolrl.actors.wait import gather
from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import EngineConfig
from toolrl.config.task import RewardConfig
from toolrl.errors import LearnerError, LearnerLostError, PlacementError, ToolRLError
from toolrl.protocols import Verifier
from toolrl.rollout.settings import EngineSettings, environment

_QUIET = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


class EngineRoom(Protocol):
    """Where engines are put that outlive the stage."""

    def engines(self, settings: Sequence[EngineSettings], config: EngineConfig, *, timeout_s: float, run: str) -> list[EngineHandle]:
        """Return engines of these settings for `run`, started already where they are kept from an earlier stage."""
        ...


class Stage:
    """Where the actors of one stage are put: a granted placement; its engines into a `room` of their own, if there is one."""

    def __init__(self, placement: Placement, group: PlacementGroup, *, on_gpu: bool, room: EngineRoom | None = None, run: str = "") -> None:
        self.run = run
        """What the actors' metrics and logs say they belong to."""
        self._placement = arranged(placement, nodes_of(group))
        self._group = group
        self._on_gpu = on_gpu
        self._room = room

    def engines(
        self, settings: Sequence[EngineSettings], config: EngineConfig, *, timeout_s: float, shared: Sequence[Sequence[str]] | None = None
    ) -> list[EngineHandle]:
        """Create the engines' actors; `timeout_s` bounds each of their control calls.

        `shared` has for each engine the GPUs that are given to learner ranks already (`gpus_of`); None: every engine has its own.
        """
        if self._room is not None:
            return self._room.engines(settings, config, timeout_s=timeout_s, run=self.run)
        gpus: Sequence[Sequence[str] | None] = shared or [None] * len(settings)
        return [
            EngineHandle(each, self.engine_maker(each, config, own), timeout_s=timeout_s) for each, own in zip(settings, gpus, strict=True)
        ]

    def engine_maker(self, settings: EngineSettings, config: EngineConfig, shared: Sequence[str] | None = None) -> Callable[[], Any]:
        """Return what creates the actor of one engine, in its bundle, as often as it is called; `shared` as in `engines`."""
        gpus = float(settings.tensor_parallel) if self._on_gpu and shared is None else 0.0
        env = environment(settings) | (visible(shared) if shared is not None else {})
        options = self._options(settings.name, config.cpus, gpus, env) | {"max_concurrency": MAX_CALLS}
        return lambda: ray.remote(EngineActor).options(**options, **telling_name(self.run, settings.name)).remote(settings, self.run)

    def learners(self, config: LearnerConfig, rank_arguments: Mapping[str, Any], sender: SenderSettings | None) -> list[Any]:
        """Create the actors of the learner's ranks."""
        env = {**_QUIET, "OMP_NUM_THREADS": str(config.threads), "DS_ACCELERATOR": "cuda" if self._on_gpu else "cpu"}
        ranks = []
        for rank in range(config.num_ranks):
            options = self._options(f"learner-{rank}", config.cpus_per_rank, float(self._on_gpu), env)
            actor = ray.remote(LearnerActor).options(**options, **telling_name(self.run, f"learner-{rank}"))
            ranks.append(actor.remote(rank, config.num_ranks, rank_arguments, sender, config.step_timeout_s, self.run))
        return ranks

    def reward_worker(self, index: int, verifier: Verifier, config: RewardConfig) -> RewardHandle:
        """Return one reward worker, to be started."""
        name = f"reward-{index}"
        options = self._options(name, config.cpus_per_worker, 0.0, {**_QUIET, "OMP_NUM_THREADS": "1"})

        def make() -> Any:
            return ray.remote(RewardActor).options(**options, **telling_name(self.run, name)).remote(verifier, config, name, self.run)

        return RewardHandle(name, make, config)

    def _options(self, role: str, cpus: float, gpus: float, env: dict[str, str]) -> dict[str, Any]:
        return options_for(role, self._placement, self._group, cpus=cpus, gpus=gpus, env=env)


async def gpus_of(ranks: Sequence[Any], per_engine: int, *, timeout_s: float) -> list[tuple[str, ...]]:
    """Return for each engine of `per_engine` workers the GPUs of the learner ranks in its bundle, in the order of the ranks.

    Where it fails the ranks are ended: nobody else knows them yet, and others will want their GPUs.

    Raises:
        PlacementError: A rank was not given exactly one GPU.
        LearnerLostError: A rank died, or its process did not start in time.
    """
    calls = {f"learner-{i}": rank.gpus.remote() for i, rank in enumerate(ranks)}
    what, actors = "asking for the learner's GPUs", dict(zip(calls, ranks, strict=True))
    setting = "learner.start_timeout_s"
    error, lost = LearnerError, LearnerLostError
    try:
        found = await gather(what, calls, timeout_s=timeout_s, error=error, lost=lost, actors=actors, setting=setting)
        for name, gpus in zip(calls, found, strict=True):
            if len(gpus) != 1:
                raise PlacementError(f"{name} was given {len(gpus)} GPUs by Ray ({', '.join(gpus)}); a rank of a colocated run has one")
    except ToolRLError:
        for rank in ranks:
            ray.kill(rank)
        raise
    flat = [gpu for (gpu,) in found]
    return [tuple(flat[start : start + per_engine]) for start in range(0, len(flat), per_engine)]


def visible(gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment of an actor that asks Ray for no GPU and uses `gpus` of its node."""
    return {
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray hides all GPUs from an actor that asks for none, where that is set to 1
    }
