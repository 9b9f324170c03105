"""The learner group as Ray actors: one actor for each rank, and the group that the loop sees.

    Batch ─ shard_batch ─> a shard for each rank ─> the rank fetches the groups of its shard only ─> one step of the group

A rank that fails ends the wait for all: the others would sit in a collective until its deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError

from toolrl.actors.engine import EngineHandle
from toolrl.actors.wait import gather
from toolrl.algo.advantage import rewards
from toolrl.checkpoint.files import Seals
from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.errors import LearnerError, LearnerLostError, RunError
from toolrl.learner.inspection import Inspection, place_of
from toolrl.learner.packing import Demonstration, DemonstrationShard, RankShard, shard_batch, shard_demonstrations
from toolrl.types import Batch, StepReport
from toolrl.weights.manifest import Manifest

STEP_SETTING = "learner.step_timeout_s"
"""The deadline of whatever has none of its own."""


class LearnerGroup:
    """Implements `protocols.Learner`, and the learner's side of a push, over the ranks' actors.

    Args:
        ranks: Actors of `LearnerActor`, rank 0 first.
        config: Settings of the group.
        algo: Which completions are trained, and whether the KL penalty goes into the reward; None in supervised training.
        max_tokens: `sampling.max_tokens`; of no use to supervised training.
        make_ranks: Creates other actors in their place; None: the group cannot be made anew.
    """

    def __init__(
        self,
        ranks: Sequence[Any],
        config: LearnerConfig,
        *,
        algo: AlgoConfig | None = None,
        max_tokens: int = 0,
        make_ranks: Callable[[], Sequence[Any]] | None = None,
    ) -> None:
        self._ranks = _named(ranks)
        self._make_ranks = make_ranks
        self._config = config
        self._algo = algo or AlgoConfig()
        self._max_tokens = max_tokens

    async def start(self) -> None:
        """Form the group and load the model. Raises DeadlineError, LearnerError, or the UserError of a model that cannot be loaded."""
        deadline_s, setting, what = self._config.start_timeout_s, "learner.start_timeout_s", "starting the learner"
        asked = {"learner-0": self._ranks["learner-0"].address.remote()}
        ((host, port),) = await self._gather(what, asked, deadline_s, setting)
        await self._all(what, "setup", host, port, timeout_s=deadline_s, setting=setting)

    @property
    def actors(self) -> Mapping[str, Any]:
        """The actors of the ranks, by name."""
        return self._ranks

    def kill(self) -> None:
        """End every rank."""
        for actor in self._ranks.values():
            ray.kill(actor)

    async def rebuild(self) -> None:
        """Kill every rank, and form a new group of new processes with the start model.

        Raises LearnerLostError whatever else than a user's mistake it fails of: what took the group before may still be going on.
        """
        if self._make_ranks is None:
            raise LearnerError("this learner group cannot be made anew")
        self.kill()
        try:
            self._ranks = _named(self._make_ranks())
            await self.start()
        except (RunError, RayError) as failure:
            raise LearnerLostError(f"making the learner anew: {failure}") from failure

    async def step(self, batch: Batch) -> StepReport:
        """Train one batch. Raises LearnerError or DeadlineError."""
        return await self._step("training a batch", "step", self._shards(batch))

    async def inspect(self, batch: Batch, draw: int, sample: int) -> Inspection:
        """Train a batch up to the optimizer step of one of its completions, and look at it there. Raises LearnerError or DeadlineError."""
        shards = self._shards(batch)
        found = await self._each("inspecting a completion", "inspect", shards, place_of(shards, draw, sample))
        inspection: Inspection = next(each for each in found if each is not None)
        return inspection

    async def sft_step(self, rows: Sequence[Demonstration]) -> StepReport:
        """Take one optimizer step of cross-entropy. Raises LearnerError or DeadlineError."""
        return await self._step("training demonstrations", "sft_step", self._demonstration_shards(rows))

    async def sft_losses(self, rows: Sequence[Demonstration]) -> list[tuple[float, int]]:
        """Return sum of losses (nats) and number of tokens of each demonstration, in any order. Raises LearnerError or DeadlineError."""
        found = await self._each("measuring demonstrations", "sft_losses", self._demonstration_shards(rows))
        return [loss for losses in found[:: self._config.sequence_parallel] for loss in losses]

    async def connect(self, engines: Sequence[EngineHandle]) -> None:
        """Form a transfer group with `engines`, in place of the one before."""
        links = [(engine.name, engine.num_workers, engine.actor) for engine in engines]
        await self._all("opening the weight transfer", "connect", links)

    async def send(self) -> Manifest:
        """Send the weights to the engines; returns what had to be sent."""
        manifest: Manifest = (await self._all("sending weights", "send"))[0]
        return manifest

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the learner's log-probabilities (temperature 1) of tokens 1 to T - 1 of each sequence."""
        found: list[NDArray[np.float32]] = (await self._all("probing the learner", "probe", list(sequences)))[0]
        return found

    async def onload(self) -> None:
        """Bring everything that trains back to the GPUs, where it shares them with engines."""
        await self._all("moving the learner in", "onload")

    async def offload(self, *, parameters: bool) -> None:
        """Move gradients and optimizer states to host memory; with `parameters`, the model's shards too."""
        await self._all("moving the learner out", "offload", parameters)

    async def save(self, folder: Path, *, timeout_s: float) -> Seals:
        """Let every rank write and seal its part of a checkpoint in `folder`."""
        return _merged(await self._all("saving a checkpoint", "save", str(folder), timeout_s=timeout_s, setting="checkpoint.timeout_s"))

    async def sizes(self) -> tuple[int, int]:
        """Return about how many bytes a checkpoint takes, and an exported model."""
        checkpoint, model = zip(*await self._all("measuring the learner", "sizes"), strict=True)
        return sum(checkpoint), sum(model)

    async def load(self, folder: Path, *, timeout_s: float) -> None:
        """Let every rank continue from `folder`."""
        await self._all("loading a checkpoint", "load", str(folder), timeout_s=timeout_s, setting="checkpoint.timeout_s")

    async def export(self, folder: Path, *, timeout_s: float) -> Seals:
        """Write and seal the weights as a Hugging Face folder."""
        return _merged(await self._all("exporting the model", "export", str(folder), timeout_s=timeout_s, setting="checkpoint.timeout_s"))

    def _demonstration_shards(self, rows: Sequence[Demonstration]) -> Sequence[DemonstrationShard]:
        return shard_demonstrations(rows, num_ranks=self._config.data_parallel, max_tokens=self._config.max_tokens_per_microbatch)

    def _shards(self, batch: Batch) -> Sequence[RankShard]:
        """Return what each group of ranks with the same sequences does with a batch."""
        shards = shard_batch(
            batch,
            num_ranks=self._config.data_parallel,
            minibatches=self._config.minibatches,
            max_tokens=self._config.max_tokens_per_microbatch,
            drop_truncated=self._algo.truncated == "mask",
            share_prompts=self._config.share_prompts,
        )
        if not (self._algo.kl_coef and self._algo.kl_in == "reward"):
            return shards
        made_of = {t.scored.group.draw: rewards(self._algo, t.scored, self._max_tokens) for t in batch.trajectories}
        return [replace(shard, rewards={draw: made_of[draw] for draw in shard.handles}) for shard in shards]

    async def _step(self, what: str, method: str, shards: Sequence[Any]) -> StepReport:
        results = await self._each(what, method, shards)
        optimizer_steps, metrics, _ = results[0]
        return StepReport(optimizer_steps, metrics, {draw: group for _, _, trained in results for draw, group in trained.items()})

    async def _each(self, what: str, method: str, shards: Sequence[Any], *arguments: Any) -> list[Any]:
        share = self._config.sequence_parallel  # consecutive ranks that compute the same shard together
        calls = {name: getattr(rank, method).remote(shards[i // share], *arguments) for i, (name, rank) in enumerate(self._ranks.items())}
        return await self._gather(what, calls, self._config.step_timeout_s, STEP_SETTING)

    async def _all(self, what: str, method: str, *arguments: Any, timeout_s: float | None = None, setting: str = STEP_SETTING) -> list[Any]:
        calls = {name: getattr(rank, method).remote(*arguments) for name, rank in self._ranks.items()}
        return await self._gather(what, calls, timeout_s or self._config.step_timeout_s, setting)

    async def _gather(self, what: str, calls: Mapping[str, Any], timeout_s: float, setting: str) -> list[Any]:
        lost = LearnerLostError
        return await gather(what, calls, timeout_s=timeout_s, error=LearnerError, lost=lost, actors=self._ranks, setting=setting)


def _merged(of_ranks: Sequence[Seals]) -> Seals:
    return {name: seal for seals in of_ranks for name, seal in seals.items()}


def _named(ranks: Sequence[Any]) -> dict[str, Any]:
    return {f"learner-{i}": actor for i, actor in enumerate(ranks)}
