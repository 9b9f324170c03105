"""The reward pool over workers that fail on command: who is to blame, who is judged again, and what happens when workers run out."""

import asyncio

import pytest

import toolrl.actors.reward as pools
from toolrl.actors.reward import START_ATTEMPTS, ScorerPool
from toolrl.actors.reward_worker import Judged
from toolrl.config.task import RewardConfig
from toolrl.errors import ConfigError, DeadlineError, RolloutError, ScoringError
from toolrl.types import GroupRef, Reason, Verdict, WeightVersion

RIGHT = Verdict(1.0, Reason.CORRECT)
LATE = Verdict(None, Reason.VERIFIER_TIMEOUT, got="no verdict within 10 s")


def ref(number, prompt="p"):
    two = (WeightVersion(0),) * 2
    return GroupRef(number, prompt, 1, (1, 1), two, (False, False), "e", 0.0, None)


class Worker:
    """Fails on the draws of `faults`: `late` (it says so itself), `hang`, `die`, or `lost` (the group cannot be fetched)."""

    def __init__(self, index, faults, starts):
        self.name = f"reward-{index}"
        self.faults, self.starts = faults, starts
        self.calls, self.started, self.killed = [], 0, 0

    async def start(self):
        self.started += 1
        error = self.starts.pop(0) if self.starts else None
        if error is not None:
            raise error

    def kill(self):
        self.killed += 1

    async def score(self, groups):
        draws = [group.draw for group in groups]
        self.calls.append(draws)
        await asyncio.sleep(0)
        kinds = [self.faults.get(draw) for draw in draws]
        if "die" in kinds:
            raise ScoringError(f"{self.name}: ActorDiedError: gone")
        if "hang" in kinds:
            raise DeadlineError(f"no answer from {self.name}")
        if "lost" in kinds:
            raise RolloutError("groups to score: gone")
        first_late = kinds.index("late") if "late" in kinds else len(kinds)
        return Judged([(RIGHT, RIGHT)] * first_late, LATE if first_late < len(kinds) else None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(pools, "FIRST_PAUSE_S", 0.0)


def run(groups, *, faults=None, starts=None, workers=1, then=None, kind=Worker, **settings):
    """Score `groups` at once, then those of `then` one after the other; returns outcomes, workers and metrics."""
    made = []

    def make(index):
        made.append(kind(index, faults or {}, (starts or {}).get(index, [])))
        return made[-1]

    async def go():
        pool = ScorerPool(make, RewardConfig(workers=workers, **settings))
        await pool.start()
        try:
            async with asyncio.timeout(20):
                outcomes = await asyncio.gather(*map(pool.score, groups), return_exceptions=True)
                for each in then or ():
                    outcomes += await asyncio.gather(pool.score(each), return_exceptions=True)
            return outcomes, pool.metrics()
        finally:
            await pool.stop()

    outcomes, metrics = asyncio.run(go())
    told = [o if isinstance(o, Exception) else [v.reason.value for v in o.verdicts] for o in outcomes]
    return told, made, metrics


GOOD, TIMEOUT, ERROR, BARRED = (
    [reason.value] * 2 for reason in (Reason.CORRECT, Reason.VERIFIER_TIMEOUT, Reason.VERIFIER_ERROR, Reason.QUARANTINED)
)


def test_a_worker_that_names_the_late_group_is_replaced_and_nobody_is_judged_twice():
    told, (worker,), metrics = run([ref(i, f"p{i}") for i in range(4)], faults={1: "late"}, groups_per_call=4)
    assert told == [GOOD, TIMEOUT, GOOD, GOOD]
    assert worker.calls == [[0, 1, 2, 3], [2, 3]]
    assert (worker.started, worker.killed, metrics["reward/workers_replaced"]) == (2, 1, 1.0)


@pytest.mark.parametrize(("fault", "told_of_it", "calls", "replaced"), [
    ("hang", TIMEOUT, [[0, 1, 2], [0], [1], [2]], 2.0),
    ("die", ERROR, [[0, 1, 2], [0], [1], [2]], 2.0),
])  # fmt: skip
def test_of_a_call_that_failed_each_group_is_judged_alone_and_the_culprit_is_to_blame(fault, told_of_it, calls, replaced):
    told, (worker,), metrics = run([ref(i, f"p{i}") for i in range(3)], faults={1: fault}, groups_per_call=4)
    assert told == [GOOD, told_of_it, GOOD]
    assert worker.calls == calls
    assert metrics == {"reward/workers": 1.0, "reward/workers_replaced": replaced, "reward/quarantined_prompts": 0.0}


class Mended(Worker):
    """Fails once."""

    async def score(self, groups):
        try:
            return await super().score(groups)
        finally:
            self.faults.clear()


@pytest.mark.parametrize(("fault", "outcome", "calls"), [("die", GOOD, [[0], [0]]), ("hang", TIMEOUT, [[0]])])
def test_a_group_whose_worker_may_have_died_before_it_came_is_judged_again_and_one_that_hung_is_not(fault, outcome, calls):
    told, (worker,), _ = run([ref(0)], faults={0: fault}, kind=Mended)
    assert (told, worker.calls) == ([outcome], calls)


class Mistaken(Worker):
    async def score(self, groups):
        raise KeyError("ours")


def test_a_mistake_of_ours_ends_the_pool_and_nobody_waits():
    told, _, _ = run([ref(0), ref(1)], kind=Mistaken, groups_per_call=1, then=[ref(2)])
    assert [str(failure) for failure in told] == ["reward-0 ended: KeyError: 'ours'"] * 3


def test_a_group_that_is_lost_has_no_verdict_and_costs_no_worker():
    told, (worker,), metrics = run([ref(0), ref(1)], faults={0: "lost"}, groups_per_call=2)
    assert isinstance(told[0], RolloutError)
    assert told[1] == GOOD
    assert worker.calls == [[0, 1], [0], [1]]
    assert (worker.killed, metrics["reward/workers_replaced"]) == (0, 0.0)


@pytest.mark.parametrize("fault", ["late", "hang", "die"])
def test_a_prompt_that_costs_worker_after_worker_is_judged_no_more(fault):
    told, (worker,), metrics = run([], faults=dict.fromkeys(range(3), fault), then=[ref(0, "x"), ref(3, "y"), ref(1, "x"), ref(4, "x")],
                                   quarantine_after=2)  # fmt: skip
    bad = ERROR if fault == "die" else TIMEOUT
    assert told == [bad, GOOD, bad, BARRED]
    assert all(4 not in call for call in worker.calls)
    assert metrics["reward/quarantined_prompts"] == 1.0
    told, _, metrics = run([], faults=dict.fromkeys(range(5), fault), then=[ref(i, "x") for i in range(5)], quarantine_after=0)
    assert told == [bad] * 5
    assert metrics["reward/quarantined_prompts"] == 0.0


def test_a_worker_that_cannot_be_replaced_is_given_up_and_the_others_go_on(caplog):
    never = [None, *[ScoringError("no room")] * 10]
    told, workers, metrics = run([ref(i, f"p{i}") for i in range(6)], faults={0: "late"}, starts={0: never}, workers=2, groups_per_call=1)
    assert told == [TIMEOUT, *[GOOD] * 5]
    assert (workers[0].started, workers[1].started) == (1 + START_ATTEMPTS, 1)
    assert (metrics["reward/workers"], metrics["reward/workers_replaced"]) == (1.0, 0.0)
    assert "reward-0 is given up, 1 of 2 reward workers are left" in caplog.text


def test_with_the_last_worker_the_pool_fails_saying_why_and_nobody_waits():
    never = [None, *[DeadlineError("no answer within 60 s")] * 10]
    groups = [ref(i, f"p{i}") for i in range(3)]
    told, (worker,), metrics = run(groups, faults={0: "late"}, starts={0: never}, groups_per_call=1, then=[ref(9)])
    assert told[0] == TIMEOUT
    for failure in told[1:]:
        assert isinstance(failure, ScoringError)
        assert str(failure) == "no reward worker is left; reward-0, the last one, could not be replaced: no answer within 60 s"
    assert metrics["reward/workers"] == 0.0
    assert worker.started == 1 + START_ATTEMPTS


def test_a_worker_that_does_not_come_up_at_first_is_tried_again_while_the_others_judge():
    told, workers, metrics = run([ref(i) for i in range(8)], starts={0: [ScoringError("no room")]}, workers=2, groups_per_call=1)
    assert told == [GOOD] * 8
    assert [worker.started for worker in workers] == [2, 1]
    assert metrics["reward/workers"] == 2.0


@pytest.mark.parametrize(
    ("starts", "kind"),
    [({0: [ScoringError("a")], 1: [ScoringError("b")]}, ScoringError), ({1: [ConfigError("no module")]}, ConfigError)],
)
def test_no_worker_at_all_and_a_mistake_of_the_users_end_the_start(starts, kind):
    with pytest.raises(kind):
        run([ref(0)], starts=starts, workers=2)


def test_a_group_that_nobody_waits_for_is_not_judged():
    async def go():
        worker = Worker(0, {}, [])
        pool = ScorerPool(lambda index: worker, RewardConfig(workers=1, groups_per_call=1))
        await pool.start()
        tasks = [asyncio.create_task(pool.score(ref(i))) for i in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pool.stop()
        return worker.calls

    assert asyncio.run(go()) == [[0], [2]]
