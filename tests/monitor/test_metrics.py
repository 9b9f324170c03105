"""The table of metrics has every name that is written, once."""

import asyncio
import re
from pathlib import Path

from toolrl.config.learning import AlgoConfig
from toolrl.config.schema import CheckpointConfig, EvalConfig, LoopConfig
from toolrl.controller.loop import Controller
from toolrl.monitor.metrics import METRICS, describe
from toolrl.testing.fakes import World
from toolrl.types import RunState, Sampling

SOURCE = Path(__file__).parents[2] / "toolrl"
LITERAL = re.compile(r'"((?:loop|reward|rollout|heldout|learner|weights|checkpoint)/[a-z_/]+)"')


def test_every_metric_of_the_loop_is_in_the_table():
    world = World()
    loop = Controller(
        loop=LoopConfig(prompts_per_batch=2, max_staleness=1),
        evaluation=EvalConfig(every=1),
        checkpoint=CheckpointConfig(every=1),
        sampling=Sampling(n=4, temperature=1.0, top_p=1.0, max_tokens=3),
        algo=AlgoConfig(),
        state=RunState(),
        **{**world.parts, "clock": iter(range(10**6)).__next__},
    )
    asyncio.run(loop.run(3))
    names = {name for row in world.sink.rows.values() for name in row}
    assert len(names) > 30
    assert [name for name in sorted(names) if describe(name) is None] == []
    loop_names = {metric.name for metric in METRICS if metric.name.startswith(("loop/", "rollout/"))}
    assert loop_names <= names


def test_every_metric_named_in_the_source_is_in_the_table():
    named = {name for file in SOURCE.rglob("*.py") for name in LITERAL.findall(file.read_text())}
    assert "learner/grad_norm" in named
    assert [name for name in sorted(named) if describe(name) is None] == []


def test_no_metric_is_described_twice_or_without_words():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(metric.unit and metric.help.endswith(".") for metric in METRICS)


def test_a_member_of_a_family_is_described_by_it():
    assert describe("reward/reason/wrong_name").name == "reward/reason/*"
    assert describe("reward/mean").name == "reward/mean"
    assert describe("reward/unheard_of") is None
