import math

import pytest
import torch
import torch.distributed as dist

from toolrl.errors import LearnerError
from toolrl.learner.measure import Meter, Ranks
from toolrl.learner.mismatch import Mismatch


@pytest.fixture
def measured():
    """Statistics of log-probabilities of a learner and an engine."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)

    def measure(learner, engine):
        meter = Meter(Ranks("cpu"))
        meter.engine_mismatch(torch.tensor(learner), torch.tensor(engine))
        return Mismatch.of(meter.reduced())

    yield measure
    dist.destroy_process_group()


def test_the_figures_by_hand(measured):
    found = measured([0.0, -1.0], [0.0, -3.0])  # d = 0 and 2
    weight = math.exp(2)
    assert (found.tokens, found.mean_abs, found.max_abs) == (2, 1.0, 2.0)
    assert found.kl == pytest.approx((weight - 2 - 1) / 2, rel=1e-6)
    assert found.ess == pytest.approx((1 + weight) ** 2 / (2 * (1 + weight**2)), rel=1e-6)


def test_no_mismatch_is_an_effective_sample_of_all_tokens(measured):
    assert measured([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]) == Mismatch(3, 0.0, 0.0, 0.0, 1.0)


def test_the_gate_lets_the_bound_itself_pass_and_nothing_above(measured):
    found = measured([0.0, -1.0], [0.0, -3.0])
    found.check(1.0)
    found.check(0.0)
    figures = r"mean .* 1 nats over 2 tokens, more than algo\.mismatch_bound=0\.99 \(max 2, KL 2\.19, effective sample size 0\.6"
    with pytest.raises(LearnerError, match=figures):
        found.check(0.99)


def test_a_log_probability_that_is_no_number_does_not_pass_the_gate(measured):
    with pytest.raises(LearnerError, match="nan nats"):
        measured([0.0, float("nan")], [0.0, 0.0]).check(0.5)


@pytest.mark.parametrize("far", [-5000.0, 400.0, 5000.0, float("inf")])
def test_a_difference_beyond_any_exponential_meets_the_gate_too(measured, far):
    found = measured([far, far], [0.0, 0.0])
    assert found.ess == pytest.approx(1.0)  # both count alike
    with pytest.raises(LearnerError, match="disagree"):
        found.check(0.5)
