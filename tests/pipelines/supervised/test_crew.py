"""Who takes part in a supervised run, and whose turn it is on shared GPUs."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from fake_stage import Stage

from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.supervised.crew import Crew, LearnerInTurn, bundles
from toolrl.pipelines.supervised.inputs import load_supervised
from toolrl.types import RunState

ALONE = ("conf/demo_sft.yaml", "data.train=demo://sft?rows=8")
ASKED = (*ALONE, "eval.heldout=demo://heldout?rows=4", "engine.num=2", "learner.num_ranks=2")
SHARED = (*ASKED, "cluster.device=cuda", "cluster.colocated=true", "weights.backend=ipc")


def started(stage, *settings):
    async def run():
        crew = await Crew.start(load_supervised(load(SftConfig, settings), resolve_model("demo://start")), stage)
        await crew.stop()
        return crew

    return asyncio.run(run())


def roles(*settings):
    return [role for bundle in bundles(load(SftConfig, settings)) for role in bundle.roles]


def test_with_nothing_to_answer_the_learner_is_alone():
    stage = Stage()
    crew = started(stage, *ALONE)
    assert stage.events == ["create 1 ranks sending by nothing", "learner-0: address", "learner-0: setup"]
    assert (crew.measuring, crew.learner) == (None, crew.group)
    assert roles(*ALONE) == ["learner-0"]


def test_engines_and_reward_workers_stand_beside_it_where_there_are_prompts():
    stage = Stage()
    crew = started(stage, *ASKED)
    assert stage.events[:2] == ["create 2 ranks sending by gloo", "create 2 engines"]
    assert {"engine-0: start", "engine-1: start", "learner-1: setup", "reward-0: ready", "reward-1: ready"} <= set(stage.events)
    assert crew.learner is crew.group
    assert sorted(roles(*ASKED)) == ["engine-0", "engine-1", "learner-0", "learner-1", "reward-0", "reward-1"]


def test_on_shared_gpus_the_engines_sleep_before_the_learner_loads():
    stage = Stage()
    crew = started(stage, *SHARED)
    at = stage.events.index
    assert stage.shared == [("7",), ("6",)]
    assert at("engine-1: start") < at("engine-0: sleep") < at("learner-0: setup")
    assert isinstance(crew.learner, LearnerInTurn)
    assert roles(*SHARED)[:2] == ["engine-0", "learner-0"]


class Turns:
    def __init__(self, events):
        self.events = events

    async def to_learner(self):
        self.events.append("the learner's turn")


class Learner:
    def __init__(self, events):
        self.events = events

    async def sft_step(self, rows):
        self.events.append(f"train {rows}")

    async def sft_losses(self, rows):
        self.events.append(f"measure {rows}")


def test_the_learner_trains_and_measures_in_its_turn():
    events = []
    learner = LearnerInTurn(Learner(events), Turns(events))

    async def run():
        await learner.sft_step("a")
        await learner.sft_losses("b")

    asyncio.run(run())
    assert events == ["the learner's turn", "train a", "the learner's turn", "measure b"]


@pytest.mark.parametrize(("settings", "events"), [(SHARED, ["the learner's turn", "save 3"]), (ASKED, ["save 3"]), (ALONE, ["save 3"])])
def test_a_checkpoint_is_the_learners_and_is_followed_by_no_push(settings, events):
    crew, seen = started(Stage(), *settings), []
    if crew.measuring and crew.measuring.turns:
        crew.measuring.turns.to_learner = Turns(seen).to_learner

    class Store:
        async def save(self, state):
            seen.append(f"save {state.version}")
            return {}

    asyncio.run(crew.store(Store()).save(RunState(version=3)))
    assert seen == events
