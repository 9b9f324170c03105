"""How much is drawn ahead, and that the window hands draws out in order."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.config.schema import LoopConfig
from toolrl.controller.window import PRIOR_GROUPS, Window, draws_for
from toolrl.types import GroupRef, Reason, ScoredGroup, Verdict


@given(groups=st.integers(1, 3000), dull_share=st.floats(0, 0.9))
def test_draws_for_is_the_smallest_number_that_leaves_a_standard_deviation_to_spare(groups, dull_share):
    def to_spare(draws):
        return draws * (1 - dull_share) - math.sqrt(draws * dull_share * (1 - dull_share)) - groups

    draws = draws_for(groups, dull_share)
    assert to_spare(draws) >= -1e-6
    assert draws == groups or to_spare(draws - 1) < 1e-6


@given(groups=st.integers(0, 10**6))
def test_without_dull_groups_nothing_is_drawn_ahead(groups):
    assert draws_for(groups, 0.0) == groups


def scored(number, dull):
    group = GroupRef(number, "p", 1, (1, 1), (0, 0), (False, False), "e", 0.0, None)
    return ScoredGroup(group, (Verdict(1.0, Reason.CORRECT), Verdict(1.0 if dull else 0.0, Reason.CORRECT)))


def windowed(scenario, *, refill=True, dull=(), prompts=2):
    """Run `scenario(window, launched)` in an event loop; `launched` lists draws as they are launched."""

    async def go():
        launched = []

        async def roll_out(number):
            await asyncio.sleep(0)
            return scored(number, number in dull)

        def launch(number):
            launched.append(number)
            return asyncio.create_task(roll_out(number))

        window = Window(LoopConfig(prompts_per_batch=prompts, refill=refill), 5, launch)
        result = await scenario(window, launched)
        window.close()
        return result

    return asyncio.run(go())


@pytest.mark.parametrize("refill", [True, False])
def test_the_dull_share_is_that_of_recent_draws_with_a_prior(refill):
    async def scenario(window, launched):
        window.fill(0, 2, 8)
        for _ in range(6):
            await window.next()
        return window.dull_share

    share = windowed(scenario, refill=refill, dull={5, 6, 9})
    assert share == (3 / (6 + PRIOR_GROUPS) if refill else 0)


def test_what_expired_is_launched_again_in_its_place_and_the_younger_stay():
    async def scenario(window, launched):
        window.fill(0, 2, 4)
        window.fill(1, 2, 6)
        window.expire(1)
        launched.append("expired")
        window.fill(2, 1, 1)
        return launched, [(await window.next()).group.draw for _ in range(6)]

    launched, taken = windowed(scenario)
    assert launched == [5, 6, 7, 8, 9, 10, "expired", 5, 6, 7, 8]
    assert taken == [5, 6, 7, 8, 9, 10]


def test_more_is_drawn_only_once_the_margin_is_spent():
    async def scenario(window, launched):
        window.fill(0, 2, 6)  # 5 to 10
        await window.next()
        await window.next()  # both dull: the share is 2 / (2 + 4)
        window.top_up(0, 2)
        before = list(launched)  # 4 in flight hold 2.7 groups: enough
        window.top_up(0, 3)
        return before, launched

    before, after = windowed(scenario, dull={5, 6})
    assert before == [5, 6, 7, 8, 9, 10]
    assert len(after) - 2 == draws_for(3, 1 / 3)


def test_unfinished_counts_what_is_still_being_sampled_or_verified():
    async def scenario(window, launched):
        window.fill(0, 2, 4)
        counts = [window.unfinished]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [*counts, window.unfinished]

    assert windowed(scenario) == [4, 0]
