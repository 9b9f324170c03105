"""The door of the policy losses: what holds for each of them."""

import importlib

import pytest
import torch

from toolrl.algo.policy_loss import policy_loss
from toolrl.config.learning import LOSSES, AlgoConfig

EVERY = pytest.mark.parametrize("name", LOSSES)


def test_each_name_has_a_file_and_another_loss(random_tokens):
    x = random_tokens(1, spread=3.0)
    found = set()
    for name in LOSSES:
        importlib.import_module(f"toolrl.algo.policy.{name}")
        made = policy_loss(AlgoConfig(loss=name, dual_clip=1.5), x.logp, x.old_logp, x.advantage, x.segments)
        found.add(made.loss.sum().item())
    assert len(found) == len(LOSSES)


def test_another_name_is_an_error(random_tokens):
    x = random_tokens(0)
    with pytest.raises(ValueError, match=r"algo\.loss: got 'ppo'"):
        policy_loss(AlgoConfig(loss="ppo"), x.logp, x.old_logp, x.advantage, x.segments)


@EVERY
def test_at_the_start_of_a_batch_each_has_the_policy_gradient_and_clips_nothing(random_tokens, name):
    x = random_tokens(3)
    made = policy_loss(AlgoConfig(loss=name), x.logp, x.logp.detach(), x.advantage, x.segments)
    made.loss.sum().backward()
    torch.testing.assert_close(x.logp.grad, -x.advantage)
    assert not made.clipped.any()
    assert made.ratio.tolist() == pytest.approx([1.0] * len(x.logp))


@EVERY
def test_an_advantage_of_zero_trains_nothing_and_is_not_clipped_however_far_the_ratio(random_tokens, name):
    x = random_tokens(4)
    logp = (x.old_logp + 300.0 * torch.tensor([1.0, -1.0]).repeat(6)[: len(x.old_logp)]).requires_grad_()
    made = policy_loss(AlgoConfig(loss=name), logp, x.old_logp, torch.zeros_like(x.advantage), x.segments)
    made.loss.sum().backward()
    assert made.loss.abs().sum() == logp.grad.abs().sum() == 0
    assert not made.clipped.any()


@EVERY
def test_what_is_reported_has_no_gradient_and_no_tokens_are_no_error(random_tokens, name):
    x = random_tokens(5, lengths=(0, 0))
    made = policy_loss(AlgoConfig(loss=name), x.logp, x.old_logp, x.advantage, x.segments)
    assert made.loss.shape == made.ratio.shape == made.clipped.shape == (0,)
    assert made.loss.requires_grad
    assert not made.ratio.requires_grad
    assert made.clipped.dtype == torch.bool
