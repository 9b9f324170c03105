"""The states of a fleet: every pair of state and event, and what holds after any sequence of events."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.errors import DeadlineError, RolloutError
from toolrl.weights.membership import PRESENT, RULES, EngineEvent, EngineState, Membership

S, E = EngineState, EngineEvent
ENGINES = [SimpleNamespace(name=f"engine-{i}") for i in range(2)]
TABLE = {
    S.HEALTHY: {E.ANSWERED: S.HEALTHY, E.MISSED: S.SUSPECT, E.LOST: S.DEAD, E.BROKEN: S.STALE, E.VERIFIED: S.HEALTHY},
    S.SUSPECT: {E.ANSWERED: S.HEALTHY, E.MISSED: S.SUSPECT, E.LOST: S.DEAD, E.BROKEN: S.STALE, E.VERIFIED: S.HEALTHY},
    S.STALE: {E.ANSWERED: S.STALE, E.MISSED: S.STALE, E.LOST: S.DEAD, E.BROKEN: S.STALE, E.VERIFIED: S.HEALTHY},
    S.DEAD: {E.LOST: S.DEAD, E.RESTART: S.RESTARTING},
    S.RESTARTING: {E.LOST: S.DEAD, E.STARTED: S.STALE},
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("event", E)
def test_what_an_event_makes_of_a_state(state, event):
    assert RULES.get((state, event)) == TABLE[state].get(event)


@given(st.lists(st.sampled_from(E), max_size=40))
def test_nobody_serves_who_was_not_verified_since_it_last_had_other_weights(events):
    members = Membership(ENGINES)
    engine, verified = ENGINES[0], False
    for event in events:
        if (members.states[engine.name], event) not in RULES:
            with pytest.raises(KeyError):
                members.note(engine, event)
            continue
        members.note(engine, event)
        if event is E.VERIFIED:
            verified = True
        elif event in (E.BROKEN, E.LOST):
            verified = False
        assert (engine in members.serving) <= verified
        assert (engine in members.present) == (members.states[engine.name] in PRESENT)
        assert all(each in members.present for each in members.serving)


@given(st.lists(st.sampled_from(E), max_size=40))
def test_the_generation_changes_exactly_with_who_is_present_and_with_each_push_that_broke(events):
    members = Membership(ENGINES)
    for event in events:
        if (members.states["engine-0"], event) in RULES:
            before, generation = members.present, members.generation
            members.note(ENGINES[0], event)
            assert members.generation - generation == (event is E.BROKEN or members.present != before)


def test_engines_that_are_not_present_take_no_part_in_what_a_push_did():
    members = Membership(ENGINES)
    members.note(ENGINES[1], E.LOST)
    members.note_all(ENGINES, E.VERIFIED)
    assert members.states == {"engine-0": "healthy", "engine-1": "dead"}
    assert members.told() == "1 healthy, 1 dead"


def test_who_waits_for_a_serving_engine_is_woken_by_the_push():
    async def run():
        members = Membership(ENGINES)
        waits = asyncio.ensure_future(members.until_serving(10))
        await asyncio.sleep(0)
        assert not waits.done()
        members.note(ENGINES[0], E.VERIFIED)
        await asyncio.wait_for(waits, 1)

    asyncio.run(run())


def test_a_wait_past_its_deadline_says_how_the_engines_stand():
    members = Membership(ENGINES)
    members.note(ENGINES[1], E.LOST)
    with pytest.raises(DeadlineError, match=r"waited 0.01 s for an engine that serves; engines: 1 stale, 1 dead"):
        asyncio.run(members.until_serving(0.01))


@pytest.mark.parametrize(("minimum", "given_up", "enough"), [(1, 1, True), (1, 2, False), (2, 1, False)])
def test_a_run_goes_on_with_fewer_engines_down_to_the_minimum(minimum, given_up, enough):
    async def run():
        members = Membership(ENGINES, minimum=minimum)
        stale = asyncio.ensure_future(members.until_serving(None))
        await asyncio.sleep(0)
        members.note(ENGINES[0], E.VERIFIED)
        for engine in ENGINES[2 - given_up :]:
            members.note(engine, E.LOST)
            members.give_up(engine, "out of memory")
        await stale

    if enough:
        asyncio.run(run())
        return
    told = rf"{2 - given_up} of 2 engines are left, engine.min_num={minimum};(.|\n)*engine-1: out of memory"
    with pytest.raises(RolloutError, match=told):
        asyncio.run(run())
