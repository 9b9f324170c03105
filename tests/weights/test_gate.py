"""The admission of draws."""

import asyncio

from toolrl.weights.gate import Gate


async def settle():
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Visit:
    """A draw that goes in and stays until told to leave."""

    def __init__(self, gate):
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._run(gate))
        self.inside = False

    async def _run(self, gate):
        async with gate:
            self.inside = True
            await self.leave.wait()
        self.inside = False


def test_a_gate_starts_shut():
    async def scenario():
        gate = Gate()
        visit = Visit(gate)
        await settle()
        assert not visit.inside
        assert not gate.is_open
        gate.open()
        await settle()
        assert visit.inside
        visit.leave.set()

    asyncio.run(scenario())


def test_shutting_keeps_new_ones_out_and_lets_those_inside_stay():
    async def scenario():
        gate = Gate()
        gate.open()
        first = Visit(gate)
        await settle()
        gate.shut()
        second = Visit(gate)
        await settle()
        assert (first.inside, second.inside, gate.inside) == (True, False, 1)
        first.leave.set()
        second.task.cancel()

    asyncio.run(scenario())


def test_one_that_woke_too_late_waits_again():
    async def scenario():
        gate = Gate()
        visit = Visit(gate)
        await settle()
        gate.open()
        gate.shut()  # before the waiter ran
        await settle()
        assert not visit.inside
        visit.task.cancel()

    asyncio.run(scenario())


def test_drained_returns_when_the_last_has_left():
    async def scenario():
        gate = Gate()
        gate.open()
        visits = [Visit(gate), Visit(gate)]
        await settle()
        gate.shut()
        drained = asyncio.create_task(gate.drained())
        visits[0].leave.set()
        await settle()
        assert not drained.done()
        visits[1].leave.set()
        await settle()
        assert drained.done()
        assert gate.inside == 0

    asyncio.run(scenario())


def test_one_that_fails_inside_leaves_too():
    async def scenario():
        gate = Gate()
        gate.open()
        visit = Visit(gate)
        await settle()
        visit.task.cancel()
        await settle()
        assert gate.inside == 0

    asyncio.run(scenario())
