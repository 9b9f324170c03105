"""In-process stand-ins for every seam of the loop: no Ray, no files, no wall clock.

    World(…) makes one of each around the same live version and the same journal; `world.parts` are the keyword arguments of the Controller

Waiting is a seeded number of turns of the event loop, so a seed is a timing, and thousands of timings take seconds. Every call is written
into `World.journal` as (what, number). `World.failures` maps such an entry to the error that the call then raises.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolrl.errors import WeightSyncError
from toolrl.types import (
    Batch,
    Completion,
    Draw,
    Group,
    GroupRef,
    Prompt,
    PushReport,
    Reason,
    RunState,
    Sampling,
    ScoredGroup,
    StepReport,
    TrainedGroup,
    Verdict,
    VersionSpan,
    WeightVersion,
)

Event = tuple[str, int]
"""What was called, and for which draw or version."""


def as_trained(batch: Batch) -> dict[int, TrainedGroup]:
    """Return what a learner that changed no advantage reports of `batch`: a loss share of 0.25 for each completion."""
    return {t.scored.group.draw: TrainedGroup(t.advantages, (0.25,) * len(t.advantages)) for t in batch.trajectories}


@dataclass
class World:
    """What the fakes share: time, the live weights, a journal, and planned failures.

    Args:
        seed: The timing.
        max_turns: Longest wait of any call, in turns of the event loop.
        dull: Whether draw `number`, sampled under `version`, gets equal rewards.
        rewards: Held-out reward of a version.
        failures: Errors to raise, by journal entry.
    """

    seed: int = 0
    max_turns: int = 20
    dull: Callable[[int, int], bool] = lambda number, version: False
    rewards: Callable[[int], float] = lambda version: version / 100
    failures: Mapping[Event, BaseException] = field(default_factory=dict)
    live: WeightVersion | None = None
    journal: list[Event] = field(default_factory=list)
    now: float = 0.0
    """Seconds on the fake clock; a part adds what it takes."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.joining = asyncio.Event()
        self.prompts, self.engines, self.scorer = FakePrompts(self), FakeEngines(self), FakeScorer(self)
        self.learner, self.weights, self.evaluator = FakeLearner(self), FakeWeights(self), FakeEvaluator(self)
        self.store, self.rollout_log, self.sink = FakeStore(self), FakeRolloutLog(self), FakeSink(self)

    @property
    def parts(self) -> dict[str, Any]:
        """The Controller's parts, by its argument names."""
        names = ("prompts", "engines", "scorer", "learner", "weights", "evaluator", "store", "rollout_log", "sink")
        return {name: getattr(self, name) for name in names} | {"clock": lambda: self.now}

    def enter(self, what: str, number: int) -> None:
        """Write a call into the journal; raise what was planned for it."""
        self.journal.append((what, number))
        if error := self.failures.get((what, number)):
            raise error

    async def wait(self) -> None:
        """Let other tasks go on for a while."""
        for _ in range(self._random.randint(1, self.max_turns)):
            await asyncio.sleep(0)

    def count(self, what: str) -> int:
        """Return how often something was called."""
        return sum(entry == what for entry, _ in self.journal)


class FakePrompts:
    """Draw k asks for `p<k>`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def draw(self, number: int) -> Draw:
        """Return draw `number`, with a prompt of one to four tokens."""
        self._world.enter("draw", number)
        prompt = Prompt(id=f"p{number}", source="fake", messages=(), tools=(), reference=())
        return Draw(number, prompt, np.arange(number % 4 + 1, dtype=np.int32), seed=number << 32)


class FakeEngines:
    """Samples completions of one to three tokens from the live weights; those that change on the way appear in the spans."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def sample(self, draw: Draw, sampling: Sampling) -> GroupRef:
        """Return `sampling.n` completions. Sampling before the first push is a WeightSyncError."""
        world = self._world
        first = world.live
        world.enter("sample", draw.number)
        if first is None:
            raise WeightSyncError("sampled before the first weights arrived")
        await world.wait()
        last = world.live
        assert last is not None
        completions = tuple(self._completion(draw, i, first, last) for i in range(sampling.n))
        group = Group(draw, completions)
        world.journal.append(("sampled", draw.number))
        return group.ref(group, engine="fake", sample_s=0.5)

    async def metrics(self) -> Mapping[str, float]:
        """Say how many completions were sampled so far."""
        self._world.enter("did", self._world.live or 0)
        return {"engine/generated_tokens": float(self._world.count("sampled"))}

    def _completion(self, draw: Draw, member: int, first: WeightVersion, last: WeightVersion) -> Completion:
        length = member % 3 + 1
        spans = (
            (VersionSpan(first, 0, 1), VersionSpan(last, 1, length)) if last != first and length > 1 else (VersionSpan(first, 0, length),)
        )
        return Completion(
            token_ids=np.arange(length, dtype=np.int32),
            logprobs=np.full(length, -0.5, dtype=np.float32),
            loss_mask=np.ones(length, dtype=np.bool_),
            text=f"{draw.prompt.id}/{member}",
            finish_reason="length" if length == 3 else "stop",
            seed=draw.seed + member,
            spans=spans,
        )


class FakeScorer:
    """Every other completion is right; in a dull group all are wrong."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def score(self, group: GroupRef) -> ScoredGroup:
        """Return the verdicts after a while."""
        world = self._world
        world.enter("score", group.draw)
        await world.wait()
        dull = world.dull(group.draw, min(group.oldest))
        right = Verdict(1.0, Reason.CORRECT, format_right=True, content_right=True)
        wrong = Verdict(0.0, Reason.WRONG_VALUE, "[0].arguments.x", "1", "2", format_right=True)
        return ScoredGroup(group, tuple(wrong if dull or i % 2 else right for i in range(len(group.oldest))))

    def metrics(self) -> Mapping[str, float]:
        """Return what two workers would say that never fail."""
        return {"reward/workers": 2.0, "reward/workers_replaced": 0.0}


class FakeLearner:
    """Remembers every batch; two optimizer steps and 3 seconds each."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.batches: list[Batch] = []

    async def step(self, batch: Batch) -> StepReport:
        """Return after a while."""
        self._world.enter("step", batch.version)
        await self._world.wait()
        self.batches.append(batch)
        self._world.now += 3.0
        return StepReport(optimizer_steps=2 * (batch.version + 1), metrics={"learner/loss": 0.25}, trained=as_trained(batch))


class FakeWeights:
    """Makes a version live after a while and half a second; planned failures of `commit` come once it is live."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def publish(self, version: WeightVersion) -> PushReport:
        """Make `version` live."""
        world = self._world
        world.enter("publish", version)
        await world.wait()
        world.live = version
        world.now += 0.5
        await world.wait()
        world.enter("commit", version)
        world.joining.clear()
        return PushReport(version, {"weights/parity_max_abs_dlogp": 1e-6})

    async def wanted(self) -> None:
        """Return once the world says that an engine joins."""
        await self._world.joining.wait()


class FakeEvaluator:
    """Takes a while and 7 seconds."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def evaluate(self, version: WeightVersion) -> Mapping[str, float]:
        """Return the world's reward of `version`, which must be live from beginning to end."""
        world = self._world
        world.enter("evaluate", version)
        await world.wait()
        assert world.live == version, f"evaluated {version} while {world.live} was live"
        world.now += 7.0
        world.journal.append(("evaluated", version))
        return {"heldout/reward": world.rewards(version)}


class FakeStore:
    """Remembers every state it saved; a checkpoint takes 2 seconds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.states: list[RunState] = []

    async def save(self, state: RunState) -> Mapping[str, float]:
        """Save `state` after a while."""
        self._world.enter("save", state.version)
        await self._world.wait()
        self._world.now += 2.0
        self.states.append(state)
        self._world.journal.append(("saved", state.version))
        return {}


class FakeRolloutLog:
    """Remembers every batch whose writing ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.batches: list[Batch] = []
        self.failed: list[tuple[Batch, str]] = []
        self.trained: list[Mapping[int, TrainedGroup]] = []

    async def write(self, batch: Batch, trained: Mapping[int, TrainedGroup]) -> None:
        """Keep `batch` after a while."""
        self._world.enter("log", batch.version + 1)
        await self._world.wait()
        self.batches.append(batch)
        self.trained.append(trained)
        self._world.journal.append(("logged", batch.version + 1))

    async def keep_failed(self, batch: Batch, why: str) -> None:
        """Keep a batch that was not trained."""
        self.failed.append((batch, why))


class FakeSink:
    """Remembers the metrics of every version."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rows: dict[int, dict[str, float]] = {}

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Keep one row for each version."""
        self._world.enter("metrics", version)
        assert version not in self.rows, f"version {version} was reported twice"
        self.rows[version] = dict(metrics)

    def close(self) -> None:
        """Nothing is held."""
