"""What happens to an engine that dies, hangs, or whose replacement fails: who notices, how often it is replaced, and what is told."""

import asyncio
import logging
import time

import pytest

from toolrl.actors.supervisor import Supervisor
from toolrl.config.schema import EngineConfig
from toolrl.errors import DeadlineError, RolloutError
from toolrl.weights.gate import Gate
from toolrl.weights.membership import EngineEvent, Membership

QUICK = EngineConfig(health_every_s=0.01, health_timeout_s=0.05, max_restarts=2)


class Engine:
    """Answers health checks, until it is told to hang or to have died."""

    def __init__(self, name):
        self.name, self.incarnation, self.fails = name, 1, []
        self.trouble, self.checks = None, 0

    async def health(self, *, timeout_s):
        self.checks += 1
        if self.trouble == "hang":
            await asyncio.sleep(timeout_s)
            raise DeadlineError("a health check: no answer")
        if self.trouble:
            raise RolloutError(self.trouble)

    def renew(self):
        self.incarnation += 1
        self.trouble = None

    async def start(self, *, timeout_s):
        if self.fails:
            raise RolloutError(self.fails.pop(0))


class Fleet:
    """Two engines that serve, and their supervisor."""

    def __init__(self, config=QUICK):
        self.engines = [Engine("engine-0"), Engine("engine-1")]
        self.members = Membership(self.engines)
        self.members.note_all(self.engines, EngineEvent.VERIFIED)
        self.gate = Gate()
        self.gate.open()
        self.supervisor = Supervisor(self.engines, self.members, self.gate, config)

    async def until(self, holds, limit_s=5.0):
        end = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < end
            await asyncio.sleep(0.001)


def supervised(story, **settings):
    """Run a story (a coroutine function over a fleet) under supervision."""

    async def run():
        fleet = Fleet(**settings)
        fleet.supervisor.start()
        try:
            await story(fleet)
        finally:
            await fleet.supervisor.stop()
        return fleet

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("trouble", "told"), [("hang", "silent for 0 s: a health check: no answer"), ("its process died", "its process died")]
)
def test_a_dead_or_silent_engine_is_replaced_once_while_the_other_goes_on(caplog, trouble, told):
    async def story(fleet):
        fleet.engines[1].trouble = trouble
        await fleet.until(lambda: fleet.engines[1].incarnation == 2)
        await fleet.until(lambda: fleet.members.states["engine-1"] == "stale")
        assert fleet.members.states["engine-0"] == "healthy"

    with caplog.at_level(logging.WARNING):
        fleet = supervised(story)
    assert f"engine-1 is replaced (1 of 2): {told}" in caplog.text
    assert (fleet.supervisor.replaced, fleet.engines[0].incarnation) == (1, 1)


def test_one_missed_check_makes_it_suspect_and_an_answer_well_again():
    async def story(fleet):
        fleet.engines[0].trouble = "hang"
        await fleet.until(lambda: fleet.members.states["engine-0"] == "suspect")
        fleet.engines[0].trouble = None
        await fleet.until(lambda: fleet.members.states["engine-0"] == "healthy")

    assert supervised(story, config=EngineConfig(health_every_s=0.01, health_timeout_s=60.0)).supervisor.replaced == 0


def test_while_weights_are_pushed_nobody_asks_and_silence_does_not_count():
    async def story(fleet):
        fleet.gate.shut()
        await asyncio.sleep(0.05)
        before = fleet.engines[0].checks
        fleet.engines[0].trouble = "hang"
        await asyncio.sleep(3 * QUICK.health_timeout_s)
        assert fleet.engines[0].checks == before
        assert fleet.members.states["engine-0"] == "healthy"

    supervised(story)


def test_whoever_loses_an_engine_it_is_replaced_and_the_reason_told(caplog):
    async def story(fleet):
        fleet.members.lose(fleet.engines[0], "a push: the network is down")
        await fleet.until(lambda: fleet.engines[0].incarnation == 2)

    with caplog.at_level(logging.WARNING):
        supervised(story)
    assert "engine-0 is replaced (1 of 2): a push: the network is down" in caplog.text


def test_a_replacement_that_does_not_start_is_tried_again_and_then_given_up_with_its_last_end():
    async def story(fleet):
        fleet.engines[0].fails = ["no memory", "no memory still"]
        fleet.members.lose(fleet.engines[0], "died")
        fleet.members.give_up(fleet.engines[1], "gone")  # or the minimum would hold
        with pytest.raises(RolloutError) as caught:
            await asyncio.wait_for(fleet.members.until_stale(), 10)
        assert "engine-0: replaced 2 times (engine.max_restarts); the last end: its replacement did not start: no memory still" in str(
            caught.value
        )

    assert supervised(story).supervisor.replaced == 2
