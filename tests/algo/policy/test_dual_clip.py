import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolrl.algo.policy.clipped import clipped
from toolrl.algo.policy.dual_clip import dual_clip


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "by_logp", "decided"),
    [  # clip 0.2 on either side, ceiling 3
        (2.5, -2.0, 5.0, 5.0, False),
        (4.0, -2.0, 6.0, 0.0, True),  # not 8
        (0.5, -2.0, 1.6, 0.0, True),  # the first clip
        (4.0, 2.0, -2.4, 0.0, True),  # the first clip: there is no ceiling for what was good
    ],
)
def test_a_bad_token_that_became_far_more_likely_costs_at_most_the_ceiling(slope, ratio, advantage, loss, by_logp, decided):
    def policy(logp):
        return dual_clip(logp, torch.tensor([0.0]), torch.tensor([advantage]), clip_low=0.2, clip_high=0.2, ceiling=3.0)

    made = policy(torch.tensor([math.log(ratio)]))
    assert made.loss.item() == pytest.approx(loss, abs=1e-5)
    assert made.clipped.item() is decided
    assert slope(lambda x: policy(x).loss, math.log(ratio)) == pytest.approx([by_logp], abs=1e-5)


@given(st.floats(-30, 30), st.floats(-5, 5), st.floats(1.01, 20))
def test_it_is_the_larger_of_the_clipped_gain_and_the_bound_for_negative_advantages(log_ratio, advantage, ceiling):
    zero = torch.tensor([0.0], dtype=torch.float64)
    at = (zero + log_ratio, zero, zero + advantage)
    made = dual_clip(*at, clip_low=0.2, clip_high=0.2, ceiling=ceiling)
    gain = -clipped(*at, clip_low=0.2, clip_high=0.2).loss.item()
    assert -made.loss.item() == pytest.approx(max(gain, ceiling * advantage) if advantage < 0 else gain)
    assert made.loss.item() <= max(ceiling, 1.2) * abs(advantage) * (1 + 1e-12)
