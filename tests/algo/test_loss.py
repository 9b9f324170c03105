import math

import pytest
import torch

from toolrl.algo.loss import aggregate, bounded_exp, clipped_policy_loss, cross_entropy, importance_weights, kl_k3

LOG = math.log


def gradient(function, *values):
    leaf = torch.tensor(values, requires_grad=True)
    function(leaf).sum().backward()
    return leaf.grad.tolist()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope", "clipped"),
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
def test_the_clip_bounds_the_ratio_on_the_side_that_would_gain(ratio, advantage, loss, slope, clipped):
    def policy(logp):
        return clipped_policy_loss(logp, torch.tensor([0.0]), torch.tensor([advantage]), clip_low=0.2, clip_high=0.3)

    value, decided = policy(torch.tensor([LOG(ratio)]))
    assert value.item() == pytest.approx(loss, abs=1e-6)
    assert decided.item() is clipped
    assert gradient(lambda x: policy(x)[0], LOG(ratio)) == pytest.approx([slope], abs=1e-5)


def test_an_advantage_of_zero_gives_no_loss_and_no_nan_however_far_the_ratio():
    value, _ = clipped_policy_loss(torch.tensor([500.0]), torch.tensor([0.0]), torch.tensor([0.0]), clip_low=0.2, clip_high=0.2)
    assert value.item() == 0.0


def test_importance_weights_are_the_probability_ratio_truncated_at_the_cap_without_gradient():
    old = torch.tensor([LOG(0.5), LOG(0.1), LOG(0.9)], requires_grad=True)
    engine = torch.tensor([LOG(0.4), LOG(0.2), LOG(0.1)])
    weights = importance_weights(old, engine, mode="token", cap=2.0)
    assert weights.tolist() == pytest.approx([1.25, 0.5, 2.0], abs=1e-6)
    assert not weights.requires_grad
    assert importance_weights(old, engine, mode="off", cap=2.0).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="sequence"):
        importance_weights(old, engine, mode="sequence", cap=2.0)


def test_k3_by_hand():
    # d = log(0.5 / 0.25) = log 2: exp(d) - d - 1 = 1 - 0.693147; slope by logp: 1 - exp(d) = -1
    reference = torch.tensor([LOG(0.5)])
    assert kl_k3(torch.tensor([LOG(0.25)]), reference).item() == pytest.approx(1 - LOG(2), abs=1e-6)
    assert gradient(lambda x: kl_k3(x, reference), LOG(0.25)) == pytest.approx([-1.0], abs=1e-6)
    assert kl_k3(reference, reference).item() == 0.0


@pytest.mark.parametrize("distance", [9.0, 11.0, 40.0, 200.0])
def test_k3_far_from_the_reference_still_pulls_back(distance):
    (slope,) = gradient(lambda x: kl_k3(x, torch.tensor([0.0])), -distance)
    assert -math.exp(10.0) * 1.001 < slope < -1000
    assert math.isfinite(kl_k3(torch.tensor([-distance]), torch.tensor([0.0])).item())


def test_bounded_exp_is_exp_below_its_limit_and_smooth_across_it():
    x = torch.linspace(-20, 10, 301, dtype=torch.float64)
    assert torch.equal(bounded_exp(x), torch.exp(x))
    below, above = gradient(bounded_exp, 9.999, 10.001)
    assert below == pytest.approx(above, rel=2e-3)


def test_cross_entropy_is_minus_the_log_probability():
    assert cross_entropy(torch.tensor([-1.5, -0.25])).tolist() == [1.5, 0.25]


def test_any_split_aggregates_to_the_mean_over_the_whole_step():
    loss = torch.tensor([1.0, 2.0, 3.0, 6.0])
    parts = [aggregate(loss[:1], 4), aggregate(loss[1:], 4), aggregate(loss[:0], 4)]
    assert sum(parts).item() == aggregate(loss, 4).item() == 3.0


def test_a_step_without_trained_tokens_is_refused_instead_of_divided_by_zero():
    with pytest.raises(ValueError, match="skipped"):
        aggregate(torch.zeros(0), 0)
