"""The loop of supervised training with fakes: what is trained, measured and saved when, and what a resume goes on from."""

import asyncio
import math

import pytest

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import CheckpointConfig
from toolrl.config.sft import SftConfig, SftEvalConfig
from toolrl.controller.supervised import SupervisedLoop, loss_metrics
from toolrl.errors import LearnerError, PreemptedError, RunError, WeightSyncError
from toolrl.monitor.waste import Accelerators, wasted
from toolrl.testing.fakes import World
from toolrl.types import RunState, StepReport

START = RunState()


class Learner:
    """Remembers what it was given; a step takes 3 seconds and trains 12 tokens, a measurement 2."""

    def __init__(self, world, losses=lambda version: 1 / (1 + version)):
        self.world, self.losses, self.steps, self.version = world, losses, [], 0

    async def sft_step(self, rows):
        self.world.enter("step", rows[0])
        self.steps.append(rows)
        self.version = rows[0] + 1
        self.world.now += 3.0
        return StepReport(optimizer_steps=rows[0] + 1, metrics={"learner/loss": 0.5, "learner/tokens": 12.0}, trained={})

    async def sft_losses(self, rows):
        self.world.enter("losses", len(rows))
        self.world.now += 2.0
        return [(self.losses(self.version), 1)] * len(rows)


class Evaluator:
    """The greedy reward of a version, which must be live."""

    def __init__(self, world, greedy):
        self.world, self.greedy = world, greedy

    async def evaluate(self, version):
        self.world.enter("evaluate", version)
        assert self.world.live == version
        self.world.now += 7.0
        return {"heldout/greedy": self.greedy(version)}


def loop(world, *, every=2, save_every=0, best=False, heldout=3, greedy=None, state=START, losses=None):
    learner = Learner(world) if losses is None else Learner(world, losses)
    learner.version = state.version
    made = SupervisedLoop(
        evaluation=SftEvalConfig(every=every),
        checkpoint=CheckpointConfig(every=save_every, best=best),
        batches=lambda number: [number, "row"],
        heldout=["held out"] * heldout,
        learner=learner,
        weights=world.weights if greedy else None,
        evaluator=Evaluator(world, greedy) if greedy else None,
        store=world.store,
        sink=world.sink,
        state=state,
        clock=lambda: world.now,
    )
    return made, learner


def run(world, steps, **settings):
    made, learner = loop(world, **settings)
    return asyncio.run(made.run(steps)), learner


def test_every_batch_is_trained_once_in_order_and_reported():
    world = World()
    state, learner = run(world, 5)
    assert [rows[0] for rows in learner.steps] == list(range(5))
    assert (state.version, state.optimizer_steps) == (5, 5)
    assert list(world.sink.rows) == [0, 1, 2, 3, 4, 5]


def test_it_is_measured_before_the_first_step_every_so_many_and_after_the_last():
    world = World()
    run(world, 5, every=2)
    assert [version for version, row in world.sink.rows.items() if "heldout/loss" in row] == [0, 2, 4, 5]
    losses = [row["heldout/loss"] for row in world.sink.rows.values() if "heldout/loss" in row]
    assert losses == pytest.approx([1.0, 1 / 3, 1 / 5, 1 / 6])
    world = World()
    run(world, 5, every=0)
    assert [version for version, row in world.sink.rows.items() if "heldout/loss" in row] == [0, 5]


def test_without_anything_to_measure_there_is_no_line_of_the_start():
    world = World()
    run(world, 2, heldout=0)
    assert list(world.sink.rows) == [1, 2]
    assert world.count("losses") == world.count("publish") == 0


def test_the_weights_are_live_before_they_are_asked_and_the_learner_measures_first():
    world = World()
    run(world, 2, every=1, greedy=lambda version: 0.5)
    measured = [("losses", 3), ("publish", 1), ("commit", 1), ("evaluate", 1)]
    at = world.journal.index(("step", 0))
    assert world.journal[at + 1 : at + 5] == measured
    assert world.sink.rows[1]["weights/parity_max_abs_dlogp"] == 1e-6
    assert world.count("publish") == 3


def test_seconds_are_told_apart_by_what_they_went_to():
    """A step of 3 s; a measurement of 2 + 7 s beside it and a push of 0.5 s; 12 tokens in 3.5 s."""
    world = World()
    run(world, 2, every=1, greedy=lambda version: 0.5)
    row = world.sink.rows[2]
    assert {name: row[f"loop/{name}_s"] for name in ("learner", "push", "eval", "step")} == {
        "learner": 3.0, "push": 0.5, "eval": 9.0, "step": 3.5
    }  # fmt: skip
    assert row["loop/tokens_per_s"] == pytest.approx(12 / 3.5)
    assert "loop/wait_generation_s" not in row


def test_its_lines_hold_what_its_waste_is_told_from():
    """A step of 3 s in a lap of 12.5 s, of two ranks: they wait for a push of 0.5 s and for a measurement of 9 s."""
    world = World()
    run(world, 1, every=1, greedy=lambda version: 0.5)
    line = {**world.sink.rows[1], "learner/step_s": 3.0, "learner/forward_s": 3.0}
    found = wasted(line, Accelerators.of(SftConfig(learner=LearnerConfig(num_ranks=2))))
    assert {name: seconds for name, seconds in found.items() if seconds} == {
        "run/accelerator_s": 25.0, "waste/push": 1.0, "waste/evaluation": 18.0
    }  # fmt: skip


def test_checkpoints_are_written_every_so_many_steps_and_at_the_end_after_their_lines():
    world = World()
    run(world, 5, save_every=2)
    assert [state.version for state in world.store.states] == [2, 4, 5]
    for state in world.store.states:
        assert world.journal.index(("metrics", state.version)) < world.journal.index(("save", state.version))


@pytest.mark.parametrize(
    ("measures", "best", "saved"),
    [
        ({"greedy": lambda version: {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.4}[version]}, (0.4, 1), [1, 3]),
        ({"losses": lambda version: {0: 3.0, 1: 2.0, 2: 1.0, 3: 1.5}[version]}, (-1.0, 2), [1, 2, 3]),
        ({"greedy": lambda version: {0: 0.9}.get(version, 0.1)}, (0.9, 0), [3]),
        ({"heldout": 0}, (None, None), [3]),
    ],
)
def test_the_best_is_that_of_greedy_answers_or_else_of_the_held_out_loss(measures, best, saved):
    world = World()
    state, _ = run(world, 3, every=1, best=True, **measures)
    assert (state.best_heldout, state.best_version) == best
    assert [state.version for state in world.store.states] == saved  # each new best, and the last


def test_a_resumed_run_goes_on_with_the_next_batch_and_remembers_its_best():
    world = World()
    state, learner = run(world, 6, every=3, save_every=2, state=RunState(version=4, optimizer_steps=4, best_heldout=-0.001, best_version=3))
    assert [rows[0] for rows in learner.steps] == [4, 5]
    assert list(world.sink.rows) == [5, 6]
    assert [saved.version for saved in world.store.states] == [6]  # 4 is where it came from
    assert (state.best_heldout, state.best_version) == (-0.001, 3)


def test_a_run_at_its_end_does_nothing():
    world = World()
    state, _ = run(world, 4, state=RunState(version=4))
    assert (state.version, world.journal) == (4, [])


@pytest.mark.parametrize(
    ("event", "kind", "named"),
    [
        (("step", 1), LearnerError, "learner, taking step 2"),
        (("losses", 3), LearnerError, "learner, measuring version 0"),
        (("publish", 2), WeightSyncError, "weights, pushing version 2"),
        (("evaluate", 2), RunError, "evaluation of version 2"),
        (("metrics", 1), RunError, "metrics sink, writing version 1"),
        (("save", 2), RunError, "store, saving version 2"),
    ],
)
def test_a_part_that_fails_ends_the_run_by_its_name(event, kind, named):
    world = World(failures={event: OSError("gone")})
    with pytest.raises(kind, match=f"{named}: OSError: gone"):
        run(world, 4, save_every=2, greedy=lambda version: 0.5)


def test_a_failed_step_leaves_no_line():
    world = World(failures={("step", 2): LearnerError("not finite")})
    made, _ = loop(world, save_every=1)
    with pytest.raises(LearnerError, match="not finite"):
        asyncio.run(made.run(4))
    assert list(world.sink.rows) == [0, 1, 2]
    assert made.state.version == 2


def test_the_loss_is_the_mean_over_tokens_and_its_error_that_of_a_ratio():
    """(2 + 4) / (1 + 3); residuals +0.5 and -0.5, so sqrt(2 / 1 * 0.5) / 4."""
    assert loss_metrics([(2.0, 1), (4.0, 3)]) == {"heldout/loss": 1.5, "heldout/loss_stderr": 0.25}
    assert loss_metrics([(3.0, 2)]) == {"heldout/loss": 1.5, "heldout/loss_stderr": 0.0}


def test_with_one_token_each_the_error_is_that_of_a_plain_mean():
    losses = [0.3, 1.1, 0.7, 2.0]
    mean = sum(losses) / 4
    stderr = math.sqrt(sum((loss - mean) ** 2 for loss in losses) / 3 / 4)
    assert loss_metrics([(loss, 1) for loss in losses]) == pytest.approx({"heldout/loss": mean, "heldout/loss_stderr": stderr})


def test_a_preempted_run_finishes_its_step_saves_it_and_says_that_it_is_not_at_its_end():
    world = World()
    made, learner = loop(world)
    enter = world.enter

    def watched(what, number):
        if (what, number) == ("step", 2):
            made.preempt()
        enter(what, number)

    world.enter = watched
    with pytest.raises(PreemptedError, match="version 3 of 5 is saved"):
        asyncio.run(made.run(5))
    assert [rows[0] for rows in learner.steps] == [0, 1, 2]
    assert world.store.states[-1].version == 3
