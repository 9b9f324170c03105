"""Who takes part in a supervised run, and whose turn it is on shared GPUs."""

import asyncio
import sys
from pathlib import Path

import pytest
import ray

sys.path.insert(0, str(Path(__file__).parents[1]))
from fake_stage import Stage

from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.errors import RolloutError
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


def anew(stage, *settings, before=lambda: None):
    """Start a crew and make it anew; returns the two, and what happened from then on. `before` is called in between."""

    async def run():
        crew = await Crew.start(load_supervised(load(SftConfig, settings), resolve_model("demo://start")), stage)
        stage.events.clear()
        before()
        try:
            return crew, await crew.anew(stage), stage.events
        finally:
            await crew.stop()

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


@pytest.fixture(autouse=True)
def killed(monkeypatch):
    """Learner ranks that were ended."""
    found = []
    monkeypatch.setattr(ray, "kill", found.append)
    return found


def test_a_lost_learner_is_made_anew_alone_where_nothing_else_is_there(killed):
    crew, again, events = anew(Stage(), *ALONE)
    assert events == ["create 1 ranks sending by nothing", "learner-0: address", "learner-0: setup"]
    assert len(killed) == 1
    assert again is crew


def test_engines_of_their_own_and_reward_workers_stay_and_are_pushed_to_by_a_new_group(killed):
    crew, again, events = anew(Stage(), *ASKED)
    assert events == ["create 2 ranks sending by gloo", "learner-0: address", "learner-0: setup", "learner-1: setup"]
    assert len(killed) == 2
    assert (again.group, again.measuring.fleet, again.measuring.scorer) == (crew.group, crew.measuring.fleet, crew.measuring.scorer)
    assert again.measuring.weights is not crew.measuring.weights  # that one thinks the new ranks are in its transfer group


def test_on_shared_gpus_engines_are_made_anew_with_the_learner_once_the_old_ones_have_left(killed):
    crew, again, events = anew(Stage(), *SHARED)
    at = events.index
    assert at("engine-0: kill") < at("engine-1: kill") < at("create 2 ranks sending by ipc") < at("create 2 engines")
    assert at("engine-1: start") < at("engine-0: sleep") < at("learner-0: setup")
    assert len(killed) == 2
    assert again.measuring.scorer is crew.measuring.scorer
    assert again.group is not crew.group
    assert again.learner is not again.group
    assert not any("reward" in event for event in events)


def test_on_shared_gpus_what_comes_up_only_half_is_ended(monkeypatch):
    stage = Stage()

    async def fail(fleet):
        raise RolloutError("no memory")

    with pytest.raises(RolloutError, match="no memory"):
        anew(stage, *SHARED, before=lambda: monkeypatch.setattr("toolrl.pipelines.fleet.Fleet.start", fail))
    assert stage.events.count("engine-0: kill") == 2
