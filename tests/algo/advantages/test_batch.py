from statistics import mean, stdev

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolrl.algo.advantages.batch import batch_normalised


def test_the_deviation_is_that_of_the_centred_rewards_of_the_whole_batch():
    # centred: ±1, ±2, 0 0 0; squares 1 + 1 + 4 + 4 = 10; over 7 - 1; root 1.290994
    got = batch_normalised([[2.0, 0.0], [4.0, 0.0], [1.0, 1.0, 1.0]], eps=0.0)
    assert got[0] == pytest.approx([0.77459667, -0.77459667])
    assert got[1] == pytest.approx([1.54919334, -1.54919334])
    assert got[2] == [0.0, 0.0, 0.0]


def test_the_level_of_a_group_leaves_no_trace_in_the_others():
    low, high = [[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [101.0, 100.0]]
    assert batch_normalised(low, eps=1e-6) == batch_normalised(high, eps=1e-6)


@given(st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=5), min_size=1, max_size=5))
def test_it_is_the_centred_reward_in_sample_deviations_of_the_batch(groups):
    flat = [reward - mean(group) for group in groups for reward in group]
    assume(len(flat) > 1 and stdev(flat) > 1e-3)
    got = [x for group in batch_normalised(groups, eps=1e-6) for x in group]
    assert got == pytest.approx([x / (stdev(flat) + 1e-6) for x in flat], rel=1e-9, abs=1e-9)
