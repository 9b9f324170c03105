import math

import pytest
import torch

from toolrl.algo.policy.clipped import clipped
from toolrl.algo.policy.gspo import gspo

LOG = math.log
OLD = torch.zeros(3, dtype=torch.float64)


def test_one_ratio_for_all_tokens_of_a_completion_and_its_gradient_through_the_mean(segments):
    # first completion: log-ratios log 2 and log 1/2 · 1.21 -> mean of them log 1.1; second: log 1/2, clipped as it would gain
    logp = torch.tensor([LOG(2), LOG(1.21 / 2), LOG(0.5)], dtype=torch.float64, requires_grad=True)
    advantage = torch.tensor([2.0, 2.0, -1.0], dtype=torch.float64)
    made = gspo(logp, OLD, advantage, segments(2, 1), clip_low=0.2, clip_high=0.3)
    assert made.ratio.tolist() == pytest.approx([1.1, 1.1, 0.5])
    assert made.loss.tolist() == pytest.approx([-2.2, -2.2, 0.8])
    assert made.clipped.tolist() == [False, False, True]
    made.loss.sum().backward()
    # two tokens with a loss of -2·s each, s = exp((x + y) / 2): slope of each -2·1.1·2 / 2
    assert logp.grad.tolist() == pytest.approx([-2.2, -2.2, 0.0])


def test_of_completions_with_one_token_it_is_the_clipped_loss(segments, random_tokens):
    x = random_tokens(0, (1, 1, 1, 1, 1))
    ours = gspo(x.logp, x.old_logp, x.advantage, x.segments, clip_low=0.1, clip_high=0.2)
    theirs = clipped(x.logp, x.old_logp, x.advantage, clip_low=0.1, clip_high=0.2)
    assert torch.equal(ours.loss, theirs.loss)
    assert torch.equal(ours.clipped, theirs.clipped)


@pytest.mark.parametrize("seed", range(5))
def test_its_sequence_mean_is_the_objective_of_the_paper(random_tokens, seed):
    x = random_tokens(seed)
    made = gspo(x.logp, x.old_logp, x.advantage, x.segments, clip_low=0.1, clip_high=0.2)
    (ours,) = torch.autograd.grad(x.segments.means(made.loss).mean(), x.logp)
    terms, start = [], 0
    for n in (3, 1, 5, 2):
        one = slice(start, start := start + n)
        s = (x.logp[one].sum() - x.old_logp[one].sum()).div(n).exp()
        a = x.advantage[one][0]
        terms.append(-torch.minimum(s * a, s.clamp(0.9, 1.2) * a))
    (theirs,) = torch.autograd.grad(sum(terms) / 4, x.logp)
    torch.testing.assert_close(ours, theirs)
