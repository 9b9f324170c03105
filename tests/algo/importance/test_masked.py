import pytest
import torch

from toolrl.algo.importance.masked import masked


def test_a_token_outside_floor_and_cap_is_not_trained_and_the_others_keep_their_ratio():
    log_ratio = torch.tensor([1.0, 1.9, 2.1, 0.6, 0.4], dtype=torch.float64).log()
    assert masked(log_ratio, floor=0.5, cap=2.0).tolist() == pytest.approx([1.0, 1.9, 0.0, 0.6, 0.0])


def test_a_ratio_beyond_all_floats_is_masked_too():
    assert masked(torch.tensor([500.0, -500.0]), floor=0.0, cap=2.0).tolist() == [0.0, 0.0]
