import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolrl.algo.policy.clipped import clipped


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "by_logp", "decided"),
    [  # by hand, clip 0.2 below and 0.3 above; the slope is d loss / d logp = -A·r where the clip does not decide, else 0
        (1.0, 2.0, -2.0, -2.0, False),
        (1.25, 2.0, -2.5, -2.5, False),
        (1.5, 2.0, -2.6, 0.0, True),
        (0.5, 2.0, -1.0, -1.0, False),
        (1.5, -2.0, 3.0, 3.0, False),
        (0.9, -2.0, 1.8, 1.8, False),
        (0.5, -2.0, 1.6, 0.0, True),
    ],
)
def test_the_clip_bounds_the_ratio_on_the_side_that_would_gain(slope, ratio, advantage, loss, by_logp, decided):
    def policy(logp):
        return clipped(logp, torch.tensor([0.0]), torch.tensor([advantage]), clip_low=0.2, clip_high=0.3)

    made = policy(torch.tensor([math.log(ratio)]))
    assert made.loss.item() == pytest.approx(loss, abs=1e-6)
    assert made.clipped.item() is decided
    assert made.ratio.item() == pytest.approx(ratio)
    assert slope(lambda x: policy(x).loss, math.log(ratio)) == pytest.approx([by_logp], abs=1e-5)


@given(st.floats(-8, 8), st.floats(-5, 5), st.floats(0, 0.9), st.floats(0, 5))
def test_it_is_the_negative_of_the_smaller_of_two_gains(log_ratio, advantage, low, high):
    ratio = math.exp(log_ratio)
    expected = -min(ratio * advantage, min(max(ratio, 1 - low), 1 + high) * advantage)
    zero = torch.tensor([0.0], dtype=torch.float64)
    made = clipped(zero + log_ratio, zero, zero + advantage, clip_low=low, clip_high=high)
    assert made.loss.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_an_advantage_of_zero_gives_no_loss_and_no_nan_however_far_the_ratio():
    far, zero = torch.tensor([500.0, -500.0]), torch.zeros(2)
    made = clipped(far, zero, zero, clip_low=0.2, clip_high=0.2)
    assert made.loss.tolist() == [0.0, 0.0]
    assert made.clipped.tolist() == [False, False]
