import math

import pytest
import torch

from toolrl.algo.policy.cispo import cispo


@pytest.mark.parametrize(
    ("ratio", "advantage", "by_logp", "decided"),
    [  # clip 0.2 below, 0.3 above: -A times the clipped ratio, never 0
        (1.1, 2.0, -2.2, False),
        (1.5, 2.0, -2.6, True),
        (1.5, -2.0, 2.6, True),
        (0.5, 2.0, -1.6, True),
        (1.5, 0.0, 0.0, False),
    ],
)
def test_the_weight_is_clipped_and_the_gradient_stays(slope, ratio, advantage, by_logp, decided):
    old = torch.tensor([-3.0], dtype=torch.float64)

    def policy(logp):
        return cispo(logp, old, torch.tensor([advantage]), clip_low=0.2, clip_high=0.3)

    at = -3.0 + math.log(ratio)
    made = policy(torch.tensor([at], dtype=torch.float64))
    assert slope(lambda x: policy(x).loss, at) == pytest.approx([by_logp])
    assert made.loss.item() == pytest.approx(by_logp * at)
    assert made.clipped.item() is decided
    assert made.ratio.item() == pytest.approx(ratio)


def test_at_the_start_of_a_batch_its_gradient_is_that_of_reinforce(random_tokens):
    x = random_tokens(1)
    made = cispo(x.logp, x.logp.detach(), x.advantage, clip_low=0.2, clip_high=0.2)
    made.loss.sum().backward()
    assert torch.equal(x.logp.grad, -x.advantage)
