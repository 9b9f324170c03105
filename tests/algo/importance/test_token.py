import math

import pytest
import torch

from toolrl.algo.importance.token import token


def test_it_is_the_probability_ratio_truncated_at_the_cap():
    # 0.5 / 0.4, 0.1 / 0.2, 0.9 / 0.1, and one that would overflow
    log_ratio = torch.tensor([math.log(1.25), math.log(0.5), math.log(9.0), 500.0])
    assert token(log_ratio, cap=2.0).tolist() == pytest.approx([1.25, 0.5, 2.0, 2.0])
