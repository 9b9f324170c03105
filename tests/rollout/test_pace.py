"""The pace of requests: in order, spread out, and slower after a refusal. Waits are tens of milliseconds."""

import asyncio
import time

from toolrl.rollout.pace import Pace


async def gone(pace, numbers, each=lambda pace, number: None, out_s=0.0):
    """Ask for turns in the order of `numbers`, all at once; return who went when."""
    went = []

    async def one(number):
        async with pace.turn(number):
            went.append((number, time.monotonic()))
            await asyncio.sleep(out_s)
            each(pace, number)

    await asyncio.gather(*map(one, numbers))
    return went


def test_the_oldest_ask_goes_first_whoever_came_first():
    async def run():
        pace = Pace(most=1, per_minute=0)
        async with pace.turn(0):
            waiting = asyncio.create_task(gone(pace, [7, 3, 5]))
            await asyncio.sleep(0.01)
        return await waiting

    assert [number for number, _ in asyncio.run(run())] == [3, 5, 7]


def test_no_more_are_out_than_allowed():
    out, most = 0, 0

    async def run():
        nonlocal out, most
        pace = Pace(most=3, per_minute=0)

        async def one(number):
            nonlocal out, most
            async with pace.turn(number):
                out += 1
                most = max(most, out)
                await asyncio.sleep(0.001)
                out -= 1

        await asyncio.gather(*map(one, range(20)))

    asyncio.run(run())
    assert most == 3


def test_requests_per_minute_are_spread_evenly():
    start = time.monotonic()
    times = [at - start for _, at in asyncio.run(gone(Pace(most=16, per_minute=6000), range(12)))]  # 10 ms apart
    assert all(at >= 0.01 * number for number, at in enumerate(times))


def test_after_a_refusal_nobody_goes_before_its_time_and_then_half_as_many():
    async def run():
        pace = Pace(most=4, per_minute=0)
        start = time.monotonic()
        await gone(pace, range(4), lambda pace, number: pace.hold(0.05))  # one burst, one refusal
        out = []

        async def one(number):
            async with pace.turn(number):
                out.append(time.monotonic() - start)
                await asyncio.sleep(0.02)

        await asyncio.gather(*map(one, range(4)))
        return pace, out

    pace, out = asyncio.run(run())
    assert min(out) >= 0.05
    assert out[2] >= out[0] + 0.019, "two at a time, no longer four"
    assert 0.05 <= pace.held_s < 0.1


def test_answers_bring_the_room_back_by_one_a_round():
    async def run():
        pace = Pace(most=8, per_minute=0)
        for _ in range(3):  # 8 -> 4 -> 2 -> 1
            async with pace.turn(0):
                pace.hold(0.001)
            await asyncio.sleep(0.002)
        rooms = []
        for number in range(6):
            async with pace.turn(number):
                pace.answered()
            rooms.append(int(pace._room))
        return rooms

    # 1, then 1 + 1/1 = 2, 2 + 1/2 = 2.5, 2.5 + 1/2.5 = 2.9, 2.9 + 1/2.9 = 3.24…
    assert asyncio.run(run()) == [2, 2, 2, 3, 3, 3]


def test_whoever_stops_waiting_takes_no_room():
    async def run():
        pace = Pace(most=1, per_minute=0)
        async with pace.turn(0):
            waiting = asyncio.create_task(gone(pace, [1]))
            await asyncio.sleep(0.001)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return await asyncio.wait_for(gone(pace, [2]), 1)

    assert len(asyncio.run(run())) == 1
