import math

import pytest
import torch

from toolrl.algo.policy.reinforce import reinforce


def test_it_is_minus_the_advantage_times_the_log_probability_wherever_the_batch_began(slope):
    old = torch.tensor([-2.0, -2.0], dtype=torch.float64)
    advantage = torch.tensor([3.0, -0.5], dtype=torch.float64)
    made = reinforce(torch.tensor([-1.0, -4.0], dtype=torch.float64), old, advantage)
    assert made.loss.tolist() == [3.0, -2.0]
    assert made.clipped.tolist() == [False, False]
    assert made.ratio.tolist() == pytest.approx([math.exp(1), math.exp(-2)])
    assert slope(lambda x: reinforce(x, old, advantage).loss, -1.0, -4.0) == [-3.0, 0.5]
