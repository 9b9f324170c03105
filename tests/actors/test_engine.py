"""Several engines behind one pool: real Ray actors, with a stand-in for vLLM in each."""

import asyncio

import numpy as np
import pytest
import ray

from toolrl.actors.engine import EngineHandle
from toolrl.actors.pool import EnginePool
from toolrl.actors.wait import gather
from toolrl.errors import RolloutError
from toolrl.types import Completion, Draw, Group, Prompt, Sampling, VersionSpan, WeightVersion
from toolrl.weights.gate import Gate
from toolrl.weights.membership import Membership

pytestmark = pytest.mark.stack
SAMPLING = Sampling(n=2, temperature=1.0, top_p=1.0, max_tokens=5)


def draw(number, tokens):
    return Draw(number, Prompt(str(number), "", (), (), ()), np.zeros(tokens, np.int32), seed=number)


@pytest.fixture
def engines(ray_cluster, make_engine_settings, tmp_path):
    """Two engines that answer a draw when `release` is called, and fail on draw 13."""

    class StandIn:  # local, so that Ray sends it by value
        def __init__(self):
            self.released, self.changed = asyncio.Event(), asyncio.Condition()
            self.draws = []

        async def sample(self, draw, sampling):
            if draw.number == 13:
                raise ValueError("no room for draw 13")
            async with self.changed:
                self.draws.append(draw.number)
                self.changed.notify_all()
            await self.released.wait()
            spans = (VersionSpan(WeightVersion(0), 0, 1),)
            one = Completion(np.zeros(1, np.int32), np.zeros(1, np.float32), np.ones(1, np.bool_), "", "stop", 0, spans)
            group = Group(draw, (one,) * sampling.n)
            return group.ref(None, engine="stand-in", sample_s=0.0), group

        async def release(self):
            self.released.set()

        async def seen(self, at_least=0):
            async with self.changed:
                await self.changed.wait_for(lambda: len(self.draws) >= at_least)
            return self.draws

        async def metrics(self):
            busy = {"busy_s": 2.0 + len(self.draws), "generated_tokens": 10.0 * len(self.draws), "preempted": 1.0}
            return busy | {"running_max": float(len(self.draws)), "waiting_max": 0.0, "kv_use_max": 0.1 * len(self.draws)}

    actors = [ray.remote(StandIn).options(num_cpus=0, max_concurrency=100).remote() for _ in range(2)]
    yield [
        EngineHandle(make_engine_settings(tmp_path, name=f"engine-{i}"), lambda actor=actor: actor, timeout_s=20.0)
        for i, actor in enumerate(actors)
    ]
    for actor in actors:
        ray.kill(actor)


async def seen(engines, *at_least):
    """The draws of each engine, once it has so many."""
    calls = [engine.actor.seen.remote(num) for engine, num in zip(engines, at_least, strict=True)]
    return await gather("waiting for draws", dict(zip("01", calls, strict=True)), timeout_s=20, error=RolloutError)


def test_a_draw_goes_to_the_engine_with_the_fewest_outstanding_tokens_and_waits_for_the_gate(engines):
    async def run():
        gate = Gate()
        pool = EnginePool(engines, Membership(engines), gate)
        pool.serve_as_loaded()
        long, *short = (asyncio.ensure_future(pool.sample(draw(i, tokens), SAMPLING)) for i, tokens in enumerate((50, 10, 10, 30)))
        await asyncio.sleep(0.1)
        assert await seen(engines, 0, 0) == [[], []]
        gate.open()
        # A draw may take its prompt and 2 × 5 tokens: 60 on engine-0; 20, 40 on engine-1; then 80 there, since 40 is less than 60.
        assert [sorted(draws) for draws in await seen(engines, 1, 3)] == [[0], [1, 2, 3]]
        assert [engine.outstanding_tokens for engine in engines] == [60, 80]
        for engine in engines:
            engine.actor.release.remote()
        refs = [await each for each in (long, *short)]
        assert [engine.outstanding_tokens for engine in engines] == [0, 0]
        assert [(ref.draw, ref.completion_tokens) for ref in refs] == [(i, (1, 1)) for i in range(4)]
        assert [group.draw.number for group in ray.get([ref.handle for ref in refs])] == [0, 1, 2, 3]
        found = await pool.metrics()
        assert (found["engine/generated_tokens"], found["engine/busy_s"], found["engine/tokens_per_s"]) == (40.0, 5.0, 8.0)
        assert (found["engine/running_max"], found["engine/kv_use_max"], found["engine/preempted"]) == (3.0, pytest.approx(0.3), 2.0)

    asyncio.run(run())


def test_a_draw_that_is_given_up_or_fails_leaves_its_engine_free(engines):
    async def run():
        gate = Gate()
        gate.open()
        pool = EnginePool(engines, Membership(engines), gate)
        pool.serve_as_loaded()
        given_up = asyncio.ensure_future(pool.sample(draw(0, 10), SAMPLING))
        assert await seen(engines, 1, 0) == [[0], []]
        with pytest.raises(RolloutError, match="sampling draw 13: engine-1: ValueError: no room for draw 13"):
            await pool.sample(draw(13, 10), SAMPLING)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert [engine.outstanding_tokens for engine in engines] == [0, 0]
        assert gate.inside == 0

    asyncio.run(run())
