"""A run's actors: created in their bundles, with the environment each needs, and started together.

The environment is set by Ray before a process starts, because vLLM, DeepSpeed and OpenMP read theirs when they are imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup

from toolrl.actors.cluster import options_for
from toolrl.actors.engine import MAX_CALLS, EngineActor, EngineHandle
from toolrl.actors.learner import LearnerActor, SenderSettings
from toolrl.actors.placement import Placement
from toolrl.actors.reward import RewardActor
from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import EngineConfig
from toolrl.config.task import RewardConfig
from toolrl.protocols import Verifier
from toolrl.rollout.settings import EngineSettings, environment

_QUIET = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


class Stage:
    """Where actors are put: a granted placement."""

    def __init__(self, placement: Placement, group: PlacementGroup, *, on_gpu: bool) -> None:
        self._placement = placement
        self._group = group
        self._on_gpu = on_gpu

    def engines(self, settings: Sequence[EngineSettings], config: EngineConfig, *, timeout_s: float) -> list[EngineHandle]:
        """Create the engines' actors; `timeout_s` bounds each of their control calls."""
        handles = []
        for each in settings:
            gpus = float(each.tensor_parallel) if self._on_gpu else 0.0
            options = self._options(each.name, config.cpus, gpus, environment(each)) | {"max_concurrency": MAX_CALLS}
            handles.append(EngineHandle(each, ray.remote(EngineActor).options(**options).remote(each), timeout_s=timeout_s))
        return handles

    def learners(self, config: LearnerConfig, rank_arguments: Mapping[str, Any], sender: SenderSettings | None) -> list[Any]:
        """Create the actors of the learner's ranks."""
        env = {**_QUIET, "OMP_NUM_THREADS": str(config.threads), "DS_ACCELERATOR": "cuda" if self._on_gpu else "cpu"}
        ranks = []
        for rank in range(config.num_ranks):
            options = self._options(f"learner-{rank}", config.cpus_per_rank, float(self._on_gpu), env)
            actor = ray.remote(LearnerActor).options(**options)
            ranks.append(actor.remote(rank, config.num_ranks, rank_arguments, sender, config.step_timeout_s))
        return ranks

    def reward_worker(self, index: int, verifier: Verifier, config: RewardConfig) -> Any:
        """Create one reward worker."""
        options = self._options(f"reward-{index}", config.cpus_per_worker, 0.0, {**_QUIET, "OMP_NUM_THREADS": "1"})
        return ray.remote(RewardActor).options(**options).remote(verifier, config.deadline_s)

    def _options(self, role: str, cpus: float, gpus: float, env: dict[str, str]) -> dict[str, Any]:
        return options_for(role, self._placement, self._group, cpus=cpus, gpus=gpus, env=env)
