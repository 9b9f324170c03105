"""Engines and learner on the same GPUs: who is on them when, in a whole run and after every failure. vLLM cannot sleep on a CPU, so these
are recording fakes that know their own state and refuse what a GPU would punish."""

import asyncio

import numpy as np
import pytest

from toolrl.config.learning import AlgoConfig
from toolrl.config.schema import CheckpointConfig, EvalConfig, LoopConfig, WeightsConfig
from toolrl.controller.loop import Controller
from toolrl.errors import DeadlineError, LearnerError, WeightSyncError
from toolrl.testing.fakes import World
from toolrl.types import Batch, PushReport, RunState, Sampling, StepReport, WeightVersion
from toolrl.weights.gate import Gate
from toolrl.weights.manifest import LoadReport, Manifest, TensorSpec
from toolrl.weights.membership import Membership
from toolrl.weights.push import Publisher
from toolrl.weights.turns import LearnerInTurn, StoreInTurn, Turns

SENT = Manifest((TensorSpec("w", (2, 3), "float32", 24, 0),))
LOGPROBS = [np.array([-1.0, -2.0], dtype=np.float32)]
BATCH = Batch(WeightVersion(0), ())
PUSH = [
    "learner: offload optimizer",
    "engine-0: wake weights",
    "learner: send",
    "engine-0: manifest",
    "engine-0: wake kv_cache",
    "engine-0: reset_caches",
]
"""What a push does from the pause to the commit."""
AFTER_COMMIT = ["engine-0: resume", "engine-0: probe", "learner: probe", "learner: offload parameters"]


class Party:
    """Records each call, with the gate's state where it matters, and fails or falls silent where told to."""

    def __init__(self, name, scene):
        self.name, self.scene, self.trouble = name, scene, {}

    async def do(self, what):
        self.scene.events.append(f"{self.name}: {what}")
        assert not self.scene.gate.is_open, f"{what} with the gate open"
        trouble = self.trouble.get(what)
        if trouble == "silent":
            await asyncio.Event().wait()
        if trouble is not None:
            raise trouble


class Engine(Party):
    """Knows what of it is on the GPU, like vLLM's allocator."""

    awake = frozenset(("weights", "kv_cache"))
    loaded = True

    async def sleep(self, level):
        assert self.scene.gate.inside == 0, "asleep with a draw in flight"
        await self.do(f"sleep {level}")
        self.awake, self.loaded = frozenset(), self.loaded and level == 1

    async def wake(self, tag):
        assert not self.scene.learner.on_gpu & {"optimizer"}, "engines need the room of the optimizer states"
        await self.do(f"wake {tag}")
        self.awake |= {tag}

    async def pause(self, *, recompute):
        await self.do("pause")

    async def manifest(self):
        await self.do("manifest")
        return [LoadReport("e worker 0", SENT, ())]

    async def reset_caches(self):
        assert self.awake == {"weights", "kv_cache"}
        await self.do("reset_caches")

    async def commit(self, version):
        await self.do(f"commit {version}")

    async def resume(self):
        await self.do("resume")

    async def health(self, *, timeout_s):
        pass

    async def probe(self, sequences):
        assert self.loaded
        assert self.awake == {"weights", "kv_cache"}
        await self.do("probe")
        return LOGPROBS


class Group(Party):
    """The learner: it trains with everything on the GPU, and needs its parameters to send and to be probed."""

    on_gpu = frozenset(("parameters", "optimizer"))

    async def onload(self):
        assert not any(engine.awake for engine in self.scene.engines), "engines are on the GPUs"
        await self.do("onload")
        self.on_gpu = frozenset(("parameters", "optimizer"))

    async def offload(self, *, parameters):
        await self.do("offload parameters" if parameters else "offload optimizer")
        self.on_gpu = frozenset() if parameters else frozenset(("parameters",))

    async def connect(self, engines):
        await self.do("connect")

    async def send(self):
        assert "parameters" in self.on_gpu
        assert all(engine.awake == {"weights"} for engine in self.scene.engines)
        await self.do("send")
        for engine in self.scene.engines:
            engine.loaded = True
        return SENT

    async def probe(self, sequences):
        assert "parameters" in self.on_gpu
        await self.do("probe")
        return LOGPROBS

    async def step(self, batch):
        assert self.on_gpu == {"parameters", "optimizer"}
        await self.do("step")
        return StepReport(1, {"learner/loss": 0.5}, {})

    async def save(self, state):
        assert self.on_gpu == {"parameters", "optimizer"}
        await self.do(f"save {state.version}")
        return {"checkpoint/bytes": 7.0}


class Scene:
    """A colocated run's parts among recording fakes."""

    def __init__(self, *, engines=1, level=2, last=9):
        self.gate, self.events = Gate(), []
        self.learner = Group("learner", self)
        self.engines = [Engine(f"engine-{i}", self) for i in range(engines)]
        limits = {"engine_timeout_s": 0.05, "learner_timeout_s": 0.05, "drain_timeout_s": 0.05}
        self.turns = Turns(self.engines, self.learner, self.gate, sleep_level=level, **limits)
        config = WeightsConfig(timeout_s=0.05)
        common = {"dtype": "float32", "probes": LOGPROBS, "drain_timeout_s": 0.05, "turns": self.turns}
        self.publisher = Publisher(Membership(self.engines), self.learner, self.gate, config, **common)
        self.stepping = LearnerInTurn(self.learner, self.turns)
        self.store = StoreInTurn(self.learner, self.turns, self.publisher, last_version=last)

    async def begin(self):
        await self.turns.begin()
        await self.publisher.publish(WeightVersion(0))
        self.events.clear()

    def asleep(self):
        return not any(engine.awake for engine in self.engines)


def test_engines_that_have_started_sleep_before_the_learner_loads_and_get_its_weights_first():
    scene = Scene()

    async def run():
        await scene.turns.begin()
        assert scene.events == ["engine-0: sleep 2"]
        await scene.publisher.publish(WeightVersion(0))

    asyncio.run(run())
    assert scene.events[1:] == ["learner: connect", "engine-0: pause", *PUSH, "engine-0: commit 0", *AFTER_COMMIT]
    assert scene.gate.is_open


def test_a_step_and_its_push_are_one_turn_of_the_learner():
    scene = Scene()

    async def run():
        await scene.begin()
        report = await scene.stepping.step(BATCH)
        assert report.metrics["learner/loss"] == 0.5
        assert report.metrics["learner/turn_s"] >= 0
        assert not scene.gate.is_open
        push = await scene.publisher.publish(WeightVersion(1))
        assert {"weights/wake_s", "weights/leave_s"} <= push.metrics.keys()

    asyncio.run(run())
    assert scene.events == [
        "engine-0: sleep 2",
        "learner: onload",
        "learner: step",
        "engine-0: pause",
        *PUSH,
        "engine-0: commit 1",
        *AFTER_COMMIT,
    ]
    assert scene.gate.is_open
    assert not scene.learner.on_gpu


def test_every_engine_sleeps_before_the_learner_moves_in_and_wakes_a_part_at_a_time():
    scene = Scene(engines=3)

    async def run():
        await scene.begin()
        await scene.stepping.step(BATCH)
        await scene.publisher.publish(WeightVersion(1))

    asyncio.run(run())
    seen = [event.split(": ")[1] for event in scene.events if any(word in event for word in ("sleep", "wake", "load", "step", "send"))]
    assert seen == [
        *["sleep 2"] * 3, "onload", "step",
        "offload optimizer", *["wake weights"] * 3, "send", *["wake kv_cache"] * 3, "offload parameters",
    ]  # fmt: skip


def test_the_turn_waits_for_the_draws_in_flight_and_lets_no_other_in():
    scene = Scene()

    async def run():
        await scene.begin()
        async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
            async with scene.gate:
                turn = tasks.create_task(scene.turns.to_learner())
                await asyncio.sleep(0.01)
                assert scene.events == []
                assert not scene.gate.is_open
            await turn

    asyncio.run(run())
    assert scene.events == ["engine-0: sleep 2", "learner: onload"]


def test_a_checkpoint_is_written_in_the_learners_turn_and_the_engines_get_the_same_version_again():
    scene = Scene()

    async def run():
        await scene.begin()
        return await scene.store.save(RunState(version=WeightVersion(4)))

    assert asyncio.run(run()) == {"checkpoint/bytes": 7.0}
    assert scene.events == [
        "engine-0: sleep 2",
        "learner: onload",
        "learner: save 4",
        "engine-0: pause",
        *PUSH,
        "engine-0: commit 4",
        *AFTER_COMMIT,
    ]
    assert scene.gate.is_open


def test_after_the_last_checkpoint_the_engines_sleep_on_and_the_learner_can_export():
    scene = Scene(last=4)

    async def run():
        await scene.begin()
        await scene.store.save(RunState(version=WeightVersion(4)))
        await scene.turns.to_learner()

    asyncio.run(run())
    assert scene.events == ["engine-0: sleep 2", "learner: onload", "learner: save 4"]


def test_the_sleep_level_is_the_one_that_was_set():
    scene = Scene(level=1)
    asyncio.run(scene.turns.begin())
    assert scene.events == ["engine-0: sleep 1"]


def fails(scene, error, act):
    """Begin, then `act`; return the error's text. The gate must be shut, and nothing may follow."""

    async def run():
        await scene.begin()
        await act(scene)

    with pytest.raises(error) as caught:
        asyncio.run(run())
    assert not scene.gate.is_open
    return str(caught.value)


async def turn(scene):
    await scene.stepping.step(BATCH)
    await scene.publisher.publish(WeightVersion(1))


async def hold_a_draw(scene):
    async with scene.gate:
        await turn(scene)


def test_draws_that_never_end_are_counted_by_the_deadline():
    scene = Scene()
    assert "turn, drain: no answer from 1 draws in flight within 0.05 s" in fails(scene, DeadlineError, hold_a_draw)
    assert scene.events == []


def test_an_engine_that_does_not_sleep_is_named_and_the_learner_stays_out():
    scene = Scene(engines=2)

    async def act(scene):
        scene.engines[1].trouble["sleep 2"] = "silent"
        await turn(scene)

    assert "turn, engines sleep: no answer from engine-1 within 0.05 s" in fails(scene, DeadlineError, act)
    assert "learner: onload" not in scene.events


def test_a_learner_that_fails_in_training_leaves_every_engine_asleep():
    scene = Scene(engines=2)
    scene.learner.trouble["step"] = LearnerError("a gradient is not finite")
    assert fails(scene, LearnerError, turn) == "a gradient is not finite"
    assert scene.asleep()
    assert scene.events[-1] == "learner: step"


def test_a_learner_that_cannot_move_in_leaves_every_engine_asleep():
    scene = Scene(engines=2)
    scene.learner.trouble["onload"] = RuntimeError("out of memory")
    assert "turn, learner moves in: learner failed: RuntimeError('out of memory')" in fails(scene, WeightSyncError, turn)
    assert scene.asleep()


@pytest.mark.parametrize("tag", ["weights", "kv_cache"])
def test_an_engine_that_does_not_wake_is_named_and_nothing_is_committed(tag):
    scene = Scene(engines=2)

    async def act(scene):
        scene.engines[1].trouble[f"wake {tag}"] = "silent"
        await turn(scene)

    assert f"turn, wake {tag}: no answer from engine-1 within 0.05 s" in fails(scene, DeadlineError, act)
    assert not any("commit" in event for event in scene.events)


def test_a_learner_that_does_not_leave_keeps_the_gate_shut():
    scene = Scene()

    async def act(scene):
        scene.learner.trouble["offload parameters"] = "silent"
        await turn(scene)

    assert "turn, learner leaves: no answer from learner within 0.05 s" in fails(scene, DeadlineError, act)


def test_a_push_in_the_engines_turn_is_refused():
    async def act(scene):
        await scene.publisher.publish(WeightVersion(1))

    assert "it is the engines'" in fails(Scene(), WeightSyncError, act)


def loop(scene, *, steps, refill=False, dull=lambda number, version: False):
    """Run the real controller over the turns; returns the fakes' world."""
    world = World(seed=1, dull=dull)

    class Sampler:
        async def sample(self, draw, sampling):
            async with scene.gate:
                assert all(engine.awake == {"weights", "kv_cache"} for engine in scene.engines)
                assert not scene.learner.on_gpu
                return await world.engines.sample(draw, sampling)

        async def metrics(self):
            return {}

    class Weights:
        async def publish(self, version) -> PushReport:
            report = await scene.publisher.publish(version)
            world.live = version
            return report

        async def wanted(self) -> None:
            await scene.publisher.wanted()

    class Trainer:
        async def step(self, batch) -> StepReport:
            return (await scene.stepping.step(batch), await world.learner.step(batch))[1]

    weights = Weights()
    store = StoreInTurn(scene.learner, scene.turns, weights, last_version=steps)
    parts = world.parts | {"engines": Sampler(), "weights": weights, "learner": Trainer(), "store": store}

    async def run():
        await scene.turns.begin()
        controller = Controller(
            loop=LoopConfig(prompts_per_batch=4, refill=refill),
            evaluation=EvalConfig(every=2),
            checkpoint=CheckpointConfig(every=1, best=False),
            sampling=Sampling(n=2, temperature=1.0, top_p=1.0, max_tokens=8),
            algo=AlgoConfig(),
            state=RunState(),
            **parts,
        )
        async with asyncio.timeout(20):
            return await controller.run(steps)

    assert asyncio.run(run()).version == steps
    return world


@pytest.mark.parametrize("refill", [False, True])
def test_the_loop_runs_to_its_end_with_a_checkpoint_at_every_version_and_nobody_ever_meets_on_a_gpu(refill):
    scene = Scene(engines=2, last=4)
    world = loop(scene, steps=4, refill=refill, dull=lambda number, version: number % 3 == 0)
    assert [event for event in scene.events if event.startswith("learner: s") and "send" not in event] == [
        "learner: step", "learner: save 1", "learner: step", "learner: save 2", "learner: step", "learner: save 3", "learner: step",
        "learner: save 4",
    ]  # fmt: skip
    assert len(world.learner.batches) == 4
    assert scene.asleep()
