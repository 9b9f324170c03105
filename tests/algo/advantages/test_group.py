from statistics import mean, stdev

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolrl.algo.advantages.group import group_normalised


def test_the_standard_deviation_is_over_n_minus_one():
    # mean 0.25; squared distances 0.5625 + 3 × 0.0625 = 0.75; over 3: 0.25; root: 0.5
    assert group_normalised([1.0, 0.0, 0.0, 0.0], eps=0.0) == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-15)


def test_eps_is_added_to_the_standard_deviation():
    # std of (1, 0) over n - 1 is sqrt(0.5); with eps 0.5: 0.5 / (0.70710678 + 0.5)
    assert group_normalised([1.0, 0.0], eps=0.5) == pytest.approx([0.41421356, -0.41421356], abs=1e-8)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_it_is_the_distance_in_sample_deviations(rewards):
    assume(stdev(rewards) > 1e-3)
    expected = [(reward - mean(rewards)) / (stdev(rewards) + 1e-6) for reward in rewards]
    assert group_normalised(rewards, eps=1e-6) == pytest.approx(expected, rel=1e-9, abs=1e-9)
