"""The fakes behave like the parts they stand for."""

import asyncio

import pytest

from toolrl import protocols
from toolrl.errors import WeightSyncError
from toolrl.testing import fakes
from toolrl.testing.fakes import World
from toolrl.types import Sampling

SAMPLING = Sampling(n=3, temperature=1.0, top_p=1.0, max_tokens=3)


def typed(world: World) -> None:
    """Read by mypy: every fake fits its seam."""
    prompts: protocols.PromptSource = world.prompts
    engines: protocols.Engines = world.engines
    scorer: protocols.Scorer = world.scorer
    learner: protocols.Learner = world.learner
    weights: protocols.Weights = world.weights
    evaluator: protocols.Evaluator = world.evaluator
    store: protocols.Store = world.store
    rollout_log: protocols.RolloutLog = world.rollout_log
    sink: protocols.Sink = world.sink
    del prompts, engines, scorer, learner, weights, evaluator, store, rollout_log, sink


def test_a_seed_is_a_timing():
    async def order(seed):
        world = World(seed)
        await world.weights.publish(0)
        await asyncio.gather(*(world.engines.sample(world.prompts.draw(n), SAMPLING) for n in range(9)))
        return [n for what, n in world.journal if what == "sampled"]

    assert asyncio.run(order(1)) == asyncio.run(order(1))
    assert asyncio.run(order(1)) != asyncio.run(order(2))


def test_engines_without_weights_refuse():
    world = World()
    with pytest.raises(WeightSyncError):
        asyncio.run(world.engines.sample(world.prompts.draw(0), SAMPLING))


def test_a_push_on_the_way_appears_in_the_spans():
    async def go():
        world = World(max_turns=1)
        await world.weights.publish(4)
        sampling = asyncio.create_task(world.engines.sample(world.prompts.draw(0), SAMPLING))
        await asyncio.sleep(0)
        world.live = 5
        return await sampling

    group = asyncio.run(go())
    assert group.oldest == (4, 4, 4)
    assert [(s.version, s.start, s.end) for s in group.handle.completions[2].spans] == [(4, 0, 1), (5, 1, 3)]


def test_a_planned_failure_comes_where_it_was_planned():
    world = World(failures={("draw", 3): OSError("planned")})
    world.prompts.draw(2)
    with pytest.raises(OSError, match="planned"):
        world.prompts.draw(3)
    assert world.journal == [("draw", 2), ("draw", 3)]


def test_every_fake_is_public():
    assert all(name in vars(fakes) for name in ("FakePrompts", "FakeEngines", "FakeScorer", "FakeLearner", "FakeWeights"))
