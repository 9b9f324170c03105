"""The loop keeps its promises, whatever the timing. A seed of `World` is a timing."""

import asyncio
import dataclasses
import random
import zlib
from collections import Counter

import pytest

from toolrl.config.learning import AlgoConfig
from toolrl.config.schema import CheckpointConfig, EvalConfig, LoopConfig
from toolrl.controller.loop import Controller
from toolrl.errors import (
    CheckpointError,
    DeadlineError,
    DisagreementError,
    DivergedError,
    GroupLostError,
    LearnerError,
    NothingToLearnError,
    PreemptedError,
    RolloutError,
    RunError,
    ScoringError,
    WeightSyncError,
)
from toolrl.testing.fakes import World
from toolrl.types import RunState, Sampling

N = 4
P = 3


def controller(
    world,
    *,
    state=None,
    staleness=0,
    refill=False,
    prompts=P,
    max_dull=1000,
    eval_every=0,
    save_every=0,
    best=False,
    algo=None,
    left_out=None,
):
    return Controller(
        loop=LoopConfig(prompts_per_batch=prompts, max_staleness=staleness, refill=refill, max_dull_in_row=max_dull),
        evaluation=EvalConfig(every=eval_every),
        checkpoint=CheckpointConfig(every=save_every, best=best),
        sampling=Sampling(n=N, temperature=1.0, top_p=1.0, max_tokens=3),
        algo=algo or AlgoConfig(advantage_eps=0.0),
        state=state or RunState(),
        left_out=left_out,
        **world.parts,
    )


def train(world, steps=8, **how):
    loop = controller(world, **how)

    async def bounded():
        return await asyncio.wait_for(loop.run(steps), timeout=20)

    assert asyncio.run(bounded()) is loop.state
    return loop.state


def trained(batch):
    return [t.scored.group.draw for t in batch.trajectories]


def dropped(batch):
    return [s.group.draw for s in batch.dropped]


def draws(world):
    """What each batch trained and replaced, by draw number."""
    return [(trained(b), dropped(b)) for b in world.learner.batches]


def used(world):
    """Every draw that was trained or replaced, batch after batch."""
    return [number for a, b in draws(world) for number in sorted(a + b)]


def sometimes(share):
    """Dull for this share of (draw, version): the same draw differs between the weights that sample it."""
    return lambda number, version: zlib.crc32(f"{number}/{version}".encode()) / 2**32 < share


TIMINGS = range(15)
WAYS = [(refill, share) for refill in (False, True) for share in (0.0, 0.3, 0.7)]


@pytest.mark.parametrize("staleness", [0, 1, 2, 5])
@pytest.mark.parametrize(("refill", "share"), WAYS)
def test_no_completion_is_staler_than_promised(staleness, refill, share):
    for seed in TIMINGS:
        world = World(seed, dull=sometimes(share))
        train(world, staleness=staleness, refill=refill)
        ages = [b.version - old for b in world.learner.batches for t in b.trajectories for old in t.scored.group.oldest]
        assert min(ages) >= 0
        assert max(ages) <= staleness


@pytest.mark.parametrize("refill", [False, True])
@pytest.mark.parametrize("staleness", [1, 2, 4])
def test_the_bound_is_reached(staleness, refill):
    world = World(max_turns=3, dull=sometimes(0.3))
    train(world, steps=20, staleness=staleness, refill=refill)
    assert max(row["loop/staleness_max"] for v, row in world.sink.rows.items() if v) == staleness


def test_the_synchronous_loop_trains_only_what_its_own_weights_sampled():
    world = World(dull=sometimes(0.5))
    train(world, refill=True)
    for batch in world.learner.batches:
        assert {old for t in batch.trajectories for old in t.scored.group.oldest} == {batch.version}


@pytest.mark.parametrize("staleness", [0, 1, 3])
@pytest.mark.parametrize(("refill", "share"), WAYS)
def test_batches_do_not_depend_on_timing(staleness, refill, share):
    """Even though whether a draw is dull depends here on the weights that sampled it: launches are a function of the past too."""
    outcomes = []
    for seed in TIMINGS:
        world = World(seed, max_turns=seed + 1, dull=sometimes(share))
        train(world, staleness=staleness, refill=refill)
        outcomes.append(draws(world))
    assert all(outcome == outcomes[0] for outcome in outcomes)


@pytest.mark.parametrize("staleness", [0, 2])
@pytest.mark.parametrize(("refill", "share"), WAYS)
def test_groups_are_whole_and_every_draw_is_used_once_in_order(staleness, refill, share):
    for seed in TIMINGS:
        world = World(seed, dull=sometimes(share))
        state = train(world, staleness=staleness, refill=refill)
        assert [len(b.trajectories) for b in world.learner.batches] == [P] * 8
        assert all(len(t.scored.verdicts) == len(t.advantages) == N for b in world.learner.batches for t in b.trajectories)
        assert used(world) == list(range(state.draws_taken))


def test_dull_groups_stay_in_their_batch_with_advantage_0():
    world = World(dull=lambda number, version: number % 3 == 0)
    train(world, steps=4)
    assert draws(world) == [([0, 1, 2], []), ([3, 4, 5], []), ([6, 7, 8], []), ([9, 10, 11], [])]
    advantages = [t.advantages for t in world.learner.batches[0].trajectories]
    half = 0.75**0.5  # rewards 1 0 1 0: mean 1/2, variance 4·(1/4)/3 = 1/3, so ±(1/2)/√(1/3)
    assert advantages[0] == (0.0,) * 4
    assert advantages[1] == pytest.approx((half, -half, half, -half))
    assert world.sink.rows[1]["loop/dull_share"] == pytest.approx(1 / 3)


def test_batch_advantages_span_the_groups_of_a_batch_whatever_the_timing():
    algo = AlgoConfig(advantage="batch", advantage_eps=0.0)
    for seed in TIMINGS:
        world = World(seed, dull=lambda number, version: number % 3 == 0)
        train(world, steps=2, staleness=1, algo=algo)
        # rewards 0 0 0 0, then twice 1 0 1 0: centred 4 × 0 and 8 × ±1/2, variance 8·(1/4)/11, so ±(1/2)/√(2/11)
        share = 0.5 / (2 / 11) ** 0.5
        for batch in world.learner.batches:
            assert batch.trajectories[0].advantages == (0.0,) * 4
            for trajectory in batch.trajectories[1:]:
                assert trajectory.advantages == pytest.approx((share, -share, share, -share))


def test_replaced_groups_are_no_part_of_batch_advantages():
    algo = AlgoConfig(advantage="batch", advantage_eps=0.0)
    world = World(dull=lambda number, version: number % 2 == 0)
    train(world, steps=2, refill=True, algo=algo)
    share = 0.5 / (3 / 11) ** 0.5  # 12 × ±1/2: variance 12·(1/4)/11
    for trajectory in world.learner.batches[0].trajectories:
        assert trajectory.advantages == pytest.approx((share, -share, share, -share))


def test_rewards_are_shaped_by_the_length_that_sampling_allows():
    # completions of 1, 2, 3 and 1 tokens, limit 3, buffer 2: punished by 0, 1/2, 1 and 0; rewards 1 0 1 0 -> 1 -1/2 0 0, mean 1/8
    world = World()
    train(world, steps=1, algo=AlgoConfig(advantage="mean", truncated="shape", overlong_buffer=2))
    assert world.learner.batches[0].trajectories[0].advantages == (0.875, -0.625, -0.125, -0.125)
    assert world.sink.rows[1]["reward/overlong"] == pytest.approx(-0.375)


@pytest.mark.parametrize("staleness", [0, 2])
def test_without_refill_each_draw_is_sampled_once_and_slots_are_never_exceeded(staleness):
    for seed in TIMINGS:
        world = World(seed, dull=sometimes(0.5))
        train(world, staleness=staleness)
        samples = [number for what, number in world.journal if what == "sample"]
        assert sorted(samples) == list(range(8 * P))
        most = held = 0
        for what, _ in world.journal:
            held += {"sample": 1, "commit": -P if world.learner.batches else 0}.get(what, 0)
            held += P if what == "commit" and most == 0 else 0  # the first push frees nothing
            most = max(most, held)
        assert most == (staleness + 1) * P


def test_dull_groups_are_replaced_in_draw_order():
    world = World(dull=lambda number, version: number % 2 == 0)
    state = train(world, steps=3, refill=True)
    assert draws(world) == [([1, 3, 5], [0, 2, 4]), ([7, 9, 11], [6, 8, 10]), ([13, 15, 17], [12, 14, 16])]
    assert state.draws_taken == 18
    assert world.sink.rows[3]["loop/draws"] == 6
    assert world.sink.rows[3]["loop/completions"] == 3 * N


def test_drawing_ahead_spares_most_batches_a_second_wave():
    """Half the groups dull: without drawing ahead, every batch of 16 would need one."""
    world = World(max_turns=5, dull=sometimes(0.5))
    train(world, steps=60, refill=True, prompts=16)
    waves, live, answered = set(), 0, False
    for what, number in world.journal:
        if what == "commit":
            live, answered = number, False
        answered |= what == "sampled"
        if what == "sample" and answered:
            waves.add(live)
    assert len(waves - set(range(5))) <= 55 * 0.15  # the first batches are still measuring


@pytest.mark.parametrize(("staleness", "cost"), [(0, 1.3), (1, 1.15), (2, 1.15)])
def test_drawing_ahead_costs_few_samples_that_are_thrown_away(staleness, cost):
    world = World(max_turns=5, dull=sometimes(0.5))
    state = train(world, steps=60, staleness=staleness, refill=True, prompts=16)
    assert world.count("sample") <= cost * state.draws_taken


def test_what_was_drawn_ahead_in_vain_is_sampled_again_under_its_number():
    world = World(dull=lambda number, version: version < 4 and number % 2 == 0)  # from version 4 on nothing is dull
    state = train(world, steps=8, refill=True, prompts=8)
    samples = [number for what, number in world.journal if what == "sample"]
    assert len(samples) > len(set(samples))
    assert used(world) == list(range(state.draws_taken))
    assert all(old == b.version for b in world.learner.batches for t in b.trajectories for old in t.scored.group.oldest)


def test_gives_up_when_nothing_teaches():
    world = World(dull=lambda number, version: number >= 7)
    with pytest.raises(NothingToLearnError, match=r"51 groups in a row \(draws 7 to 57\).*204 completions, mean reward 0\.000, 0 whose"):
        train(world, refill=True, max_dull=50)


def test_as_many_dull_groups_in_a_row_as_allowed_are_no_error():
    world = World(dull=lambda number, version: 7 <= number < 57)
    assert train(world, steps=4, refill=True, max_dull=50).draws_taken == 62


def test_dull_groups_that_are_not_in_a_row_are_no_error():
    world = World(dull=lambda number, version: number % 4 != 0)
    assert train(world, steps=4, refill=True, max_dull=3, prompts=8).draws_taken == 4 * 8 * 4 - 3


@pytest.mark.parametrize("staleness", [0, 2])
def test_what_was_drawn_ahead_in_vain_does_not_hold_up_the_end(staleness):
    dull = sometimes(0.5)
    used_up = train(World(dull=dull), refill=True, staleness=staleness).draws_taken
    world = World(dull=dull)

    class Hanging(type(world.engines)):
        async def sample(self, draw, sampling):
            if draw.number >= used_up:
                world.journal.append(("hangs", draw.number))
                await asyncio.Event().wait()
            return await super().sample(draw, sampling)

    world.engines = Hanging(world)
    train(world, refill=True, staleness=staleness)
    assert world.count("hangs")


@pytest.mark.parametrize("state", [RunState(), RunState(version=4, draws_taken=12)])
@pytest.mark.parametrize("staleness", [0, 2])
def test_weights_are_pushed_before_the_first_draw(state, staleness):
    world = World()
    train(world, state=state, staleness=staleness)
    assert world.journal[:2] == [("publish", state.version), ("commit", state.version)]
    assert world.weights is not None
    assert [n for what, n in world.journal if what == "commit"] == list(range(state.version, 9))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("staleness", [0, 3])
@pytest.mark.parametrize(("every", "versions"), [(0, [0, 8]), (3, [0, 3, 6, 8]), (4, [0, 4, 8])])
def test_evaluation_holds_the_version(seed, staleness, every, versions):
    world = World(seed)
    train(world, staleness=staleness, eval_every=every)
    assert [n for what, n in world.journal if what == "evaluate"] == versions
    evaluating = False
    for what, _ in world.journal:
        assert not (evaluating and what in ("publish", "commit", "step"))
        evaluating = what == "evaluate" or (evaluating and what != "evaluated")
    assert {v for v, row in world.sink.rows.items() if "heldout/reward" in row} == set(versions)


def test_a_resumed_run_does_not_repeat_the_first_evaluation():
    world = World()
    train(world, state=RunState(version=4, draws_taken=12))
    assert [n for what, n in world.journal if what == "evaluate"] == [8]
    assert sorted(world.sink.rows) == [5, 6, 7, 8]


def test_a_run_without_heldout_prompts_is_not_evaluated():
    world = World()
    world.evaluator = None
    assert train(world, eval_every=2).best_heldout is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("staleness", [0, 2])
def test_a_checkpoint_has_everything_before_it_on_disk(seed, staleness):
    world = World(seed, max_turns=40)
    train(world, staleness=staleness, save_every=3, eval_every=2)
    assert [s.version for s in world.store.states] == [3, 6, 8]
    for at, (what, version) in enumerate(world.journal):
        if what == "save":
            before = world.journal[:at]
            assert {n for w, n in before if w == "logged"} == set(range(1, version + 1))
            assert {n for w, n in before if w == "metrics"} == set(range(version + 1))
            assert [n for w, n in before if w == "evaluated"] == list(range(0, version + 1, 2))
    assert [s.draws_taken for s in world.store.states] == [9, 18, 24]
    assert [s.optimizer_steps for s in world.store.states] == [6, 12, 16]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_trained_while_a_checkpoint_is_written(seed):
    world = World(seed, max_turns=40)
    train(world, staleness=2, save_every=1)
    saving = False
    for what, _ in world.journal:
        assert not (saving and what in ("step", "publish"))
        saving = what == "save" or (saving and what != "saved")


def test_engines_sample_the_next_batch_while_a_checkpoint_is_written():
    world = World(max_turns=40)
    train(world, steps=2, save_every=1)
    assert world.journal.index(("sample", 3)) < world.journal.index(("saved", 1))


def test_a_slow_disk_slows_the_run_instead_of_filling_memory():
    world = World()

    class Slow(type(world.rollout_log)):
        async def write(self, batch, trained):
            for _ in range(400):
                await asyncio.sleep(0)
            await super().write(batch, trained)

    world.rollout_log = Slow(world)
    train(world)
    logs = [entry for entry in world.journal if entry[0] in ("log", "logged")]
    assert logs == [(what, version) for version in range(1, 9) for what in ("log", "logged")]
    for version in range(2, 8):  # the next batch may train meanwhile, the one after it may not
        assert world.journal.index(("logged", version - 1)) < world.journal.index(("step", version))


def test_the_best_version_is_known_and_saved():
    rewards = [0.1, 0.3, 0.2, 0.3, 0.5, 0.4]
    world = World(rewards=rewards.__getitem__)
    state = train(world, steps=5, eval_every=1, best=True)
    assert (state.best_heldout, state.best_version) == (0.5, 4)
    assert [(s.version, s.best_version) for s in world.store.states] == [(1, 1), (4, 4), (5, 4)]


@pytest.mark.parametrize("staleness", [0, 2])
@pytest.mark.parametrize("refill", [False, True])
def test_a_run_resumed_from_any_checkpoint_makes_every_draw_once_and_the_same_batches(staleness, refill):
    how = {"staleness": staleness, "refill": refill, "save_every": 1, "eval_every": 2}
    for seed in range(12):
        dull = sometimes(0.4) if staleness == 0 else lambda number, version: number % 5 < 2
        whole = World(seed, dull=dull)
        end = train(whole, **how)
        for state in whole.store.states[:-1]:
            rest = World(seed + 99, dull=dull)
            assert train(rest, state=state, **how) == end
            assert draws(rest) == draws(whole)[state.version :]


def test_a_finished_run_does_nothing():
    world = World()
    assert train(world, state=RunState(version=8, draws_taken=24)).version == 8
    assert world.journal == []


PARTS = [
    ("draw", 7, RunError, "prompts, at draw 7"),
    ("sample", 7, RolloutError, "engines, sampling draw 7"),
    ("score", 7, ScoringError, "scorer, verifying draw 7"),
    ("step", 2, LearnerError, "learner, training version 2"),
    ("publish", 0, WeightSyncError, "weights, pushing version 0"),
    ("commit", 2, WeightSyncError, "weights, pushing version 2"),
    ("evaluate", 4, RunError, "evaluation of version 4"),
    ("save", 3, CheckpointError, "store, saving version 3"),
    ("log", 2, RunError, "rollout log, writing version 2"),
    ("log", 8, RunError, "rollout log, writing version 8"),
    ("did", 3, RolloutError, "engines, saying what they did"),
    ("metrics", 3, RunError, "metrics sink, writing version 3"),
]


def test_what_engines_did_is_asked_once_it_is_done_evaluation_included():
    world = World()
    train(world, eval_every=2)
    asked = [i for i, (what, _) in enumerate(world.journal) if what == "did"]
    assert len(asked) == len(world.sink.rows)
    for i in asked:
        assert world.journal[i + 1][0] == "metrics"


@pytest.mark.parametrize("staleness", [0, 3])
@pytest.mark.parametrize(("what", "number", "kind", "message"), PARTS)
def test_a_dead_part_ends_the_run_by_name(what, number, kind, message, staleness):
    for seed in range(20):
        world = World(seed, failures={(what, number): OSError("it broke")})
        with pytest.raises(kind, match=rf"^{message}: OSError: it broke$") as caught:
            train(world, staleness=staleness, save_every=3, eval_every=2)
        assert type(caught.value) is kind
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(("what", "number", "kind", "message"), PARTS)
def test_an_error_that_says_what_it_is_passes_unchanged(what, number, kind, message):
    world = World(failures={(what, number): DeadlineError("rank 1 did not answer in 5 s")})
    with pytest.raises(DeadlineError) as caught:
        train(world, staleness=1, save_every=3, eval_every=2)
    assert str(caught.value) == "rank 1 did not answer in 5 s"
    assert caught.value.__notes__ == [message]


@pytest.mark.parametrize(("what", "number", "kind", "message"), PARTS)
def test_a_call_cancelled_from_inside_is_a_failure_and_not_a_quiet_end(what, number, kind, message):
    world = World(failures={(what, number): asyncio.CancelledError()})
    with pytest.raises(kind, match=f"^{message}: the call was cancelled from inside$"):
        train(world, staleness=1, save_every=3, eval_every=2)


def test_failures_at_the_same_time_are_notes_of_the_first():
    world = World(max_turns=1, failures={("sample", n): OSError(f"engine {n}") for n in (0, 1)})
    with pytest.raises(RolloutError) as caught:
        train(world)
    notes = caught.value.__notes__
    assert "draw 0" in str(caught.value)
    assert len(notes) == 1
    assert "draw 1: OSError: engine 1" in notes[0]


@pytest.mark.parametrize("staleness", [0, 3])
def test_what_was_sampled_under_weights_that_failed_their_probe_is_never_trained_or_kept(staleness):
    for seed in TIMINGS:
        world = World(seed, failures={("commit", 3): WeightSyncError("probe: 0.7 nats")})
        loop = controller(world, staleness=staleness, save_every=1)
        with pytest.raises(WeightSyncError, match="probe"):
            asyncio.run(loop.run(8))
        assert loop.state.version == 2
        assert [b.version for b in world.learner.batches] == [0, 1, 2]
        assert {b.version for b in world.rollout_log.batches} == {0, 1}
        assert max(s.version for s in world.store.states) == 2
        assert all(old < 3 for b in world.learner.batches for t in b.trajectories for old in t.scored.group.oldest)


@pytest.mark.parametrize("staleness", [0, 2])
@pytest.mark.parametrize("refill", [False, True])
def test_cancelling_ends_every_task_and_leaves_a_state_that_was_committed(staleness, refill):
    async def cancel_after(turns, world):
        loop = controller(world, staleness=staleness, refill=refill, save_every=2, eval_every=3)
        run = asyncio.create_task(loop.run(8))
        for _ in range(turns):
            await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert asyncio.all_tasks() == {asyncio.current_task()}
        length = len(world.journal)
        await asyncio.sleep(0)
        assert len(world.journal) == length
        return loop.state

    for seed in range(30):
        world = World(seed, dull=sometimes(0.3))
        state = asyncio.run(cancel_after(random.Random(seed).randint(1, 150), world))
        assert state.version in {n for what, n in world.journal if what == "commit"} | {0}


class Altered:
    """An engine or a scorer whose answer is not what was asked for."""

    def __init__(self, part, **changes):
        self.part, self.changes = part, changes

    async def sample(self, draw, sampling):
        return dataclasses.replace(await self.part.sample(draw, sampling), **self.changes)

    async def score(self, group):
        return dataclasses.replace(await self.part.score(group), **self.changes)

    async def metrics(self):
        return await self.part.metrics()


@pytest.mark.parametrize("changes", [{"completion_tokens": (1, 1, 1)}, {"draw": 1}])
def test_a_group_that_is_not_whole_or_not_the_one_asked_for_is_refused(changes):
    world = World()
    world.engines = Altered(world.engines, **changes)
    with pytest.raises(RolloutError, match=r"engine fake answered draw 0 with [34] completions of draw [01]; expected 4"):
        train(world)


def test_a_missing_verdict_is_refused():
    world = World()
    world.scorer = Altered(world.scorer, verdicts=())
    with pytest.raises(ScoringError, match=r"gave draw \d 0 verdicts; expected 4"):
        train(world)


def test_a_staler_group_than_promised_is_our_bug():
    world = World(seed=1)
    train(world, steps=1)

    class Frozen(type(world.engines)):
        async def sample(self, draw, sampling):
            live, self._world.live = self._world.live, 0
            try:
                return await super().sample(draw, sampling)
            finally:
                self._world.live = live

    world = World(seed=1)
    world.engines = Frozen(world)
    with pytest.raises(AssertionError, match=r"draw 3 was sampled by version 0 and trains version 1; bound 0"):
        train(world)


def test_the_seconds_of_a_version_go_to_their_stages():
    """By the fakes' clock: training 3, push 0.5, evaluation 7, checkpoint 2; sampling takes none."""
    world = World()
    train(world, steps=4, eval_every=2, save_every=2)
    stages = ("wait_generation", "learner", "push", "eval", "checkpoint", "step")
    seconds = {v: tuple(row[f"loop/{s}_s"] for s in stages) for v, row in world.sink.rows.items()}
    assert seconds == {
        0: (0, 0, 0.5, 7, 0, 0.5),
        1: (0, 3, 0.5, 0, 0, 3.5),
        2: (0, 3, 0.5, 7, 0, 3.5),
        3: (0, 3, 0.5, 0, 2, 5.5),  # the checkpoint of version 2 is made before batch 3 is taken
        4: (0, 3, 0.5, 7, 0, 3.5),
    }
    assert world.sink.rows[1]["loop/completions_per_s"] == pytest.approx(P * N / 3.5)
    assert world.sink.rows[1]["loop/tokens_per_s"] == pytest.approx(P * (1 + 2 + 3 + 1) / 3.5)


def test_the_metrics_of_a_batch_by_hand():
    world = World(dull=lambda number, version: number == 0)
    train(world, steps=1)
    row = world.sink.rows[1]
    expected = {  # three groups of four: rewards 0000 1010 1010, lengths 1 2 3 1 each, prompts of 1 2 3 tokens
        "reward/mean": 4 / 12,
        "reward/std": (4 / 12 * 8 / 12) ** 0.5,
        "reward/format_right": 1.0,
        "reward/content_right": 4 / 12,
        "reward/failed_share": 0.0,
        "reward/workers": 2.0,
        "reward/reason/correct": 4 / 12,
        "reward/reason/wrong_value": 8 / 12,
        "rollout/completion_tokens_mean": 7 / 4,
        "rollout/completion_tokens_max": 3.0,
        "rollout/truncated_share": 1 / 4,
        "rollout/prompt_tokens_mean": 2.0,
        "rollout/sample_s_mean": 0.5,
        "loop/draws": 3.0,
        "loop/completions": 12.0,
        "loop/tokens": 21.0,
        "loop/staleness_mean": 0.0,
        "loop/staleness_max": 0.0,
        "loop/groups_in_flight": 0.0,
        "learner/loss": 0.25,
        "weights/parity_max_abs_dlogp": 1e-6,
        "heldout/reward": 0.01,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def preempted_at(world, loop, *moment):
    """Ask the loop to stop when the world comes to a moment."""
    enter = world.enter

    def watched(what, number):
        if (what, number) == moment:
            loop.preempt()
        enter(what, number)

    world.enter = watched


@pytest.mark.parametrize("timing", range(8))
@pytest.mark.parametrize(
    "moment", [("sample", 7), ("score", 7), ("step", 2), ("publish", 3), ("commit", 2), ("evaluate", 2), ("save", 2), ("log", 3)]
)
def test_a_preempted_run_saves_what_is_live_and_another_goes_on_from_it(timing, moment):
    world = World(seed=timing)
    loop = controller(world, staleness=1, eval_every=1, save_every=2)
    preempted_at(world, loop, *moment)
    with pytest.raises(PreemptedError, match="is saved, and the same command goes on"):
        asyncio.run(asyncio.wait_for(loop.run(6), timeout=20))
    assert loop.state.version < 6
    assert world.store.states[-1] == loop.state, "the state that is saved is that of the last live version"
    assert len(world.rollout_log.batches) == len(world.learner.batches) == loop.state.version, "a batch that was trained is live and logged"
    resumed = World(seed=timing + 100)
    train(resumed, steps=6, state=loop.state, staleness=1)
    assert used(world) + used(resumed) == list(range(6 * P))


def test_a_signal_cuts_an_evaluation_short_and_the_version_is_saved():
    world = World()
    world.evaluator.evaluate = lambda version: asyncio.sleep(3600)
    loop = controller(world, eval_every=1, state=RunState(version=1, draws_taken=P))  # the first evaluation is behind it
    preempted_at(world, loop, "publish", 2)
    with pytest.raises(PreemptedError, match="version 2 of 6 is saved"):
        asyncio.run(asyncio.wait_for(loop.run(6), timeout=20))
    assert [state.version for state in world.store.states] == [2]
    assert "heldout/reward" not in world.sink.rows[2]


def test_a_run_that_is_preempted_before_its_first_batch_has_nothing_to_save():
    world = World()
    loop = controller(world)
    preempted_at(world, loop, "publish", 0)
    with pytest.raises(PreemptedError, match="before anything was trained"):
        asyncio.run(loop.run(6))
    assert world.store.states == []


def test_what_is_on_the_disk_already_is_not_saved_again():
    world = World()
    loop = controller(world, save_every=2)
    preempted_at(world, loop, "save", 2)
    with pytest.raises(PreemptedError, match="version 2 of 6 is saved"):
        asyncio.run(loop.run(6))
    assert [state.version for state in world.store.states] == [2]


@pytest.mark.parametrize("timing", range(5))
def test_a_draw_whose_group_was_lost_is_sampled_again_with_the_same_seeds(timing):
    world, losses = World(seed=timing), [GroupLostError("its node is gone")] * 2
    score = world.scorer.score

    async def scored(group):
        if group.draw == 4 and losses:
            raise losses.pop()
        return await score(group)

    world.scorer.score = scored
    train(world, steps=3)
    assert used(world) == list(range(3 * P))
    assert [number for what, number in world.journal if what == "sample"].count(4) == 3


def test_rollouts_that_the_disk_does_not_take_end_the_run_at_the_deadline():
    world = World()
    world.rollout_log.write = lambda batch, trained: asyncio.sleep(3600)
    loop = controller(world)
    loop._checkpoint = CheckpointConfig(timeout_s=0.05)
    with pytest.raises(DeadlineError, match=r"rollouts of version 1: not on the disk within checkpoint\.timeout_s=0\.05 s"):
        asyncio.run(asyncio.wait_for(loop.run(4), timeout=20))


def test_a_draw_that_is_lost_again_and_again_ends_the_run():
    world = World()

    async def lost(group):
        raise GroupLostError("its node is gone")

    world.scorer.score = lost
    with pytest.raises(GroupLostError, match="its node is gone"):
        train(world, steps=3)
    assert max(Counter(number for what, number in world.journal if what == "sample").values()) == 3


def test_the_batch_behind_a_disagreement_is_kept_and_comes_again():
    world = World(failures={("publish", 2): DisagreementError("engine-0 holds other weights")})
    loop = controller(world)
    with pytest.raises(DisagreementError):
        asyncio.run(loop.run(4))
    assert [(trained(batch), why.partition("\n")[0]) for batch, why in world.rollout_log.failed] == [
        ([3, 4, 5], "engine-0 holds other weights")
    ]
    assert loop.failed is None, "what disagreed were weights, not the batch"


def test_a_run_that_is_asked_to_stop_in_its_last_batch_ends_as_usual():
    world = World()
    loop = controller(world)
    preempted_at(world, loop, "step", 2)
    assert asyncio.run(loop.run(3)).version == 3


def test_a_batch_that_diverged_is_kept_and_named_and_its_draws_are_left_out_when_they_come_again():
    failing = World(failures={("step", 2): DivergedError("the gradient is not finite")})
    loop = controller(failing)
    with pytest.raises(DivergedError, match="not finite"):
        asyncio.run(loop.run(4))
    assert trained(loop.failed) == [6, 7, 8]
    assert [(trained(batch), why) for batch, why in failing.rollout_log.failed] == [([6, 7, 8], "the gradient is not finite")]
    again = World()
    left_out = dict.fromkeys(trained(loop.failed), "the gradient is not finite")
    state = train(again, steps=4, left_out=left_out)
    assert [trained(batch) for batch in again.learner.batches] == [[0, 1, 2], [3, 4, 5], [9, 10, 11], [12, 13, 14]]
    assert [[scored.group.draw for scored, _ in batch.discarded] for batch in again.learner.batches] == [[], [], [6, 7, 8], []]
    assert state.draws_taken == 15
    assert again.sink.rows[3]["loop/draws"] == 6.0


@pytest.mark.parametrize("staleness", [0, 2])
@pytest.mark.parametrize("timing", range(5))
def test_what_is_left_out_does_not_depend_on_timing_and_keeps_the_bound_on_staleness(timing, staleness):
    world = World(seed=timing)
    train(world, steps=5, staleness=staleness, left_out=dict.fromkeys((1, 4, 5, 6, 7, 8), "left out"))
    assert [trained(batch) for batch in world.learner.batches] == [[0, 2, 3], [9, 10, 11], [12, 13, 14], [15, 16, 17], [18, 19, 20]]


@pytest.mark.parametrize("moment", [("sample", 7), ("evaluate", 2)])
def test_an_engine_that_comes_back_gets_the_live_version_while_the_loop_waits_for_groups_or_for_an_evaluation(moment):
    world = World()
    loop = controller(world, eval_every=1)
    enter = world.enter

    def watched(what, number):
        if (what, number) == moment:
            world.joining.set()
        enter(what, number)

    world.enter = watched
    asyncio.run(asyncio.wait_for(loop.run(4), timeout=20))
    assert [number for what, number in world.journal if what == "publish"] == [0, 1, 2, 2, 3, 4]
    assert used(world) == list(range(4 * P))
