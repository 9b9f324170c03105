import math

import pytest
import torch

from toolrl.algo.kl import kl

LOG2 = math.log(2)


@pytest.mark.parametrize(
    ("estimator", "value", "by_logp"),
    [  # p = 1/4, reference 1/2, d = log 2; slopes: 1, -d, 1 - exp(d)
        ("k1", -LOG2, 1.0),
        ("k2", LOG2**2 / 2, -LOG2),
        ("k3", 2 - LOG2 - 1, -1.0),
    ],
)
def test_by_hand_below_the_reference(slope, estimator, value, by_logp):
    reference = torch.tensor([math.log(0.5)], dtype=torch.float64)
    logp = torch.tensor([math.log(0.25)], dtype=torch.float64)
    assert kl(estimator, logp, reference).item() == pytest.approx(value)
    assert slope(lambda x: kl(estimator, x, reference), math.log(0.25)) == pytest.approx([by_logp])
    assert kl(estimator, reference, reference).item() == 0.0


@pytest.mark.parametrize(
    ("estimator", "value", "by_logp"),
    [  # p = 1/2, reference 1/4, d = -log 2
        ("k1", LOG2, 1.0),
        ("k2", LOG2**2 / 2, LOG2),
        ("k3", 0.5 + LOG2 - 1, 0.5),
    ],
)
def test_by_hand_above_the_reference(slope, estimator, value, by_logp):
    reference = torch.tensor([math.log(0.25)], dtype=torch.float64)
    assert kl(estimator, torch.tensor([math.log(0.5)], dtype=torch.float64), reference).item() == pytest.approx(value)
    assert slope(lambda x: kl(estimator, x, reference), math.log(0.5)) == pytest.approx([by_logp])


@pytest.mark.parametrize("distance", [9.0, 11.0, 40.0, 200.0])
def test_far_from_the_reference_k2_and_k3_still_pull_back_on_either_side(slope, distance):
    here = torch.tensor([0.0], dtype=torch.float64)
    (below,) = slope(lambda x: kl("k3", x, here), -distance)
    (above,) = slope(lambda x: kl("k3", x, here), distance)
    assert -math.exp(10.0) * 1.001 < below < -1000
    assert above == pytest.approx(1.0, abs=1e-3)
    assert slope(lambda x: kl("k2", x, here), -distance, distance) == [-distance, distance]
    assert math.isfinite(kl("k3", torch.tensor([-distance]), torch.tensor([0.0])).item())


def test_in_expectation_k1_and_k3_are_the_kl_and_the_gradient_of_k2_is_its_gradient():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(6, generator=draw, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(6, generator=draw, dtype=torch.float64).log_softmax(0)
    logp = logits.log_softmax(0)
    p = logp.exp().detach()  # the expectation over samples of the policy, exactly

    def gradient(value):
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    exact = (logp.exp() * (logp - reference)).sum()
    backward = (reference.exp() * (reference - logp)).sum()
    assert (p * kl("k1", logp, reference)).sum().item() == pytest.approx(exact.item())
    assert (p * kl("k3", logp, reference)).sum().item() == pytest.approx(exact.item())
    torch.testing.assert_close(gradient((p * kl("k2", logp, reference)).sum()), gradient(exact))
    torch.testing.assert_close(gradient((p * kl("k3", logp, reference)).sum()), gradient(backward))
    torch.testing.assert_close(gradient((p * kl("k1", logp, reference)).sum()), torch.zeros(6, dtype=torch.float64))


def test_another_name_is_an_error():
    with pytest.raises(ValueError, match=r"algo\.kl_estimator: got 'k4'"):
        kl("k4", torch.zeros(1), torch.zeros(1))
