from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.algo.advantages.leave_one_out import leave_one_out


def test_a_reward_is_compared_with_the_mean_of_the_others():
    # 3 against (1 + 2) / 2; 1 against (3 + 2) / 2; 2 against (3 + 1) / 2
    assert leave_one_out([3.0, 1.0, 2.0]) == [1.5, -1.5, 0.0]


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_it_is_n_over_n_minus_one_times_the_distance_from_the_mean(rewards):
    n = len(rewards)
    assert leave_one_out(rewards) == pytest.approx([n / (n - 1) * (reward - mean(rewards)) for reward in rewards], abs=1e-12)
