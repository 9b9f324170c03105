"""In which order a run's engines and ranks are created and started: apart all at once, colocated one after the other."""

import asyncio
import sys
from pathlib import Path

import pytest
import ray

sys.path.insert(0, str(Path(__file__).parent))
from fake_stage import Stage

from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import PlacementError
from toolrl.pipelines.fleet import Fleet

COMMON = ("conf/demo.yaml", "cluster.device=cuda", "engine.num=2")
COLOCATED = ("cluster.colocated=true", "weights.backend=ipc", "engine.tensor_parallel=2", "learner.num_ranks=4")
APART = ("weights.backend=nccl", "learner.num_ranks=2")


def started(stage, *settings):
    async def run():
        fleet = await Fleet.create(load(RlConfig, [*COMMON, *settings]), stage, "model", (2,))
        await fleet.start()
        return fleet

    return asyncio.run(run())


def test_colocated_engines_start_and_sleep_on_the_gpus_of_their_ranks_before_the_learner_loads():
    stage = Stage()
    started(stage, *COLOCATED)
    assert stage.shared == [("7", "6"), ("5", "4")]
    assert stage.events == [
        "create 4 ranks sending by ipc",
        *[f"learner-{rank}: gpus" for rank in range(4)],
        "create 2 engines",
        "engine-0: start", "engine-1: start",
        "engine-0: sleep", "engine-1: sleep",
        "learner-0: address",
        *[f"learner-{rank}: setup" for rank in range(4)],
    ]  # fmt: skip


def test_apart_nobody_waits_for_another_and_nothing_sleeps():
    stage = Stage()
    fleet = started(stage, *APART)
    assert stage.shared is None
    assert fleet.turns is None
    assert fleet.learner is fleet.group
    assert set(stage.events[2:5]) == {"engine-0: start", "engine-1: start", "learner-0: address"}
    assert not any("sleep" in event or "gpus" in event for event in stage.events)


@pytest.mark.parametrize("number", [0, 2])
def test_a_rank_without_exactly_one_gpu_is_named(number, monkeypatch):
    monkeypatch.setattr(ray, "kill", lambda actor: None)
    with pytest.raises(PlacementError, match=f"learner-0 was given {number} GPUs"):
        started(Stage(gpus_each=number), *COLOCATED)
