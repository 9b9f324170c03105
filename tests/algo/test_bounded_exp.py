import math

import pytest
import torch

from toolrl.algo.bounded_exp import EXP_LIMIT, bounded_exp


def test_it_is_exp_below_its_limit():
    x = torch.linspace(-20, EXP_LIMIT, 301, dtype=torch.float64)
    assert torch.equal(bounded_exp(x), torch.exp(x))


def test_it_is_smooth_across_its_limit_and_a_line_beyond(slope):
    below, at, above, far = slope(bounded_exp, EXP_LIMIT - 1e-6, EXP_LIMIT, EXP_LIMIT + 1e-6, 500.0)
    assert (below, at, above, far) == pytest.approx((math.exp(EXP_LIMIT),) * 4, rel=1e-5)
    # its tangent at 10: exp(10)·(1 + 490)
    assert bounded_exp(torch.tensor(500.0)).item() == pytest.approx(math.exp(10) * 491)
