import pytest

from toolrl.algo.advantages.mean import mean_centred


def test_a_reward_counts_by_its_distance_from_the_mean_whatever_the_deviation():
    assert mean_centred([1.0, 0.0, 0.0, 0.0]) == [0.75, -0.25, -0.25, -0.25]  # mean 1/4
    assert mean_centred([0.3, 0.1]) == pytest.approx([0.1, -0.1], abs=1e-15)
