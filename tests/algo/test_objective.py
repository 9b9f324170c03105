"""The objective against the same written out one completion and one token at a time, from the papers' own forms."""

import itertools
import math

import pytest
import torch

from toolrl.algo.aggregate import aggregate, denominator
from toolrl.algo.objective import objective
from toolrl.algo.segments import Segments
from toolrl.config.learning import IMPORTANCE, LOSSES, AlgoConfig

LENGTHS = (3, 1, 5, 2)
AGGREGATIONS = ("token_mean", "sequence_mean", "constant")
EVERY = pytest.mark.parametrize(("loss", "aggregation"), list(itertools.product(LOSSES, AGGREGATIONS)))


def settings(**changes):
    base = {"clip_low": 0.2, "clip_high": 0.3, "dual_clip": 1.7, "loss_constant": 7, "kl_coef": 0.05, "entropy_coef": 0.01}
    return AlgoConfig(**(base | {"importance_cap": 1.5, "importance_floor": 0.7} | changes))


def terms(algo, x, **changes):
    return objective(algo, **(vars(x) | changes))


def plain_policy(algo, new, old, a, all_new, all_old):
    """The loss of a token; `all_new` and `all_old` are those of its completion."""
    low, high = 1 - algo.clip_low, 1 + algo.clip_high
    if algo.loss == "reinforce":
        return -a * new
    r = torch.exp((all_new - all_old).mean() if algo.loss == "gspo" else new - old)
    if algo.loss == "cispo":
        return -min(max(r.item(), low), high) * a * new
    gain = a * min(r, high) if a > 0 else a * max(r, low)
    if algo.loss == "dual_clip" and a < 0:
        gain = max(gain, algo.dual_clip * a)
    return -torch.as_tensor(gain, dtype=torch.float64)


def plain_importance(algo, token, old, engine):
    """The weight of token number `token` of a completion."""
    ratios = [math.exp(o - e) for o, e in zip(old.tolist(), engine.tolist(), strict=True)]
    if algo.importance == "off":
        return 1.0
    if algo.importance == "masked":
        return ratios[token] if algo.importance_floor <= ratios[token] <= algo.importance_cap else 0.0
    product = math.prod(ratios)
    weight = {"token": ratios[token], "sequence": product, "geometric": product ** (1 / len(ratios))}[algo.importance]
    return min(weight, algo.importance_cap)


def plain_kl(algo, new, reference):
    r = torch.exp(reference - new)
    return {"k1": torch.log(1 / r), "k2": 0.5 * torch.log(r) ** 2, "k3": r - 1 - torch.log(r)}[algo.kl_estimator]


def plain_loss(algo, x, lengths=LENGTHS):
    """The scalar of a whole optimizer step."""
    sums, start = [], 0
    for n in lengths:
        one = slice(start, start := start + n)
        new, old, engine = x.logp[one], x.old_logp[one], x.engine_logp[one]
        total = 0.0
        for t in range(n):
            policy = plain_policy(algo, new[t], old[t], x.advantage[one][t].item(), new, old)
            total = total + plain_importance(algo, t, old, engine) * policy - algo.entropy_coef * x.entropy[one][t]
            if algo.kl_in == "loss":
                total = total + algo.kl_coef * plain_kl(algo, new[t], x.reference_logp[one][t])
        sums.append(total)
    if algo.aggregation == "token_mean":
        return sum(sums) / sum(lengths)
    over = lengths if algo.aggregation == "sequence_mean" else [algo.loss_constant] * len(lengths)
    return sum(total / n for total, n in zip(sums, over, strict=True)) / len(lengths)


def scalar(algo, made, lengths=LENGTHS):
    return aggregate(made.loss, denominator(algo.aggregation, tokens=sum(lengths), completions=len(lengths)))


def same(algo, x):
    ours, plain = scalar(algo, terms(algo, x)), plain_loss(algo, x)
    torch.testing.assert_close(ours, plain, rtol=1e-11, atol=1e-12)
    gradients = [torch.autograd.grad(loss, (x.logp, x.entropy), retain_graph=True) for loss in (ours, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-12)


@EVERY
@pytest.mark.parametrize("importance", IMPORTANCE)
def test_loss_and_gradient_are_those_of_the_plain_loop(random_tokens, loss, aggregation, importance):
    same(settings(loss=loss, aggregation=aggregation, importance=importance), random_tokens(0, LENGTHS))


@pytest.mark.parametrize("where", ["loss", "reward"])
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_each_estimate_of_the_kl_has_the_weight_of_the_policy_loss_or_none(random_tokens, estimator, where):
    for seed, aggregation in enumerate(AGGREGATIONS):
        same(settings(kl_estimator=estimator, kl_in=where, kl_coef=0.5, aggregation=aggregation), random_tokens(seed, LENGTHS))


@EVERY
def test_any_split_into_micro_batches_has_the_same_gradient(random_tokens, loss, aggregation):
    algo = settings(loss=loss, aggregation=aggregation, importance="sequence")
    x = random_tokens(1, LENGTHS)
    (whole,) = torch.autograd.grad(scalar(algo, terms(algo, x)), x.logp)
    over = denominator(aggregation, tokens=sum(LENGTHS), completions=len(LENGTHS))
    for lengths, tokens in (((3, 1), slice(0, 4)), ((5, 2), slice(4, 11))):
        index = torch.repeat_interleave(torch.arange(2), torch.tensor(lengths))
        part = {name: value[tokens] for name, value in vars(x).items() if name != "segments"}
        made = objective(algo, **part, segments=Segments(index, torch.tensor(lengths, dtype=torch.float64)))
        (got,) = torch.autograd.grad(aggregate(made.loss, over), x.logp)
        torch.testing.assert_close(got[tokens], whole[tokens])
        assert not got[: tokens.start].any()
        assert not got[tokens.stop :].any()


def test_the_shares_of_the_completions_add_up_to_the_loss(random_tokens):
    algo, x = settings(aggregation="sequence_mean"), random_tokens(2, LENGTHS)
    made = terms(algo, x)
    shares = x.segments.sums(made.loss) / len(LENGTHS)
    assert shares.shape == (4,)
    torch.testing.assert_close(shares.sum(), plain_loss(algo, x), rtol=1e-11, atol=1e-12)


def test_the_terms_make_up_the_loss_and_carry_no_gradient(random_tokens):
    algo, x = settings(), random_tokens(3, LENGTHS)
    made = terms(algo, x)
    by_hand = made.weight * (made.importance * made.policy + 0.05 * made.kl - 0.01 * x.entropy.detach())
    torch.testing.assert_close(made.loss.detach(), by_hand)
    assert not any(each.requires_grad for each in (made.policy, made.kl, made.ratio, made.clipped, made.importance, made.weight))


def test_without_a_reference_there_is_no_kl_and_with_the_kl_in_the_reward_it_is_only_told(random_tokens):
    x = random_tokens(4, LENGTHS)
    without = terms(settings(kl_coef=0.0), x, reference_logp=None)
    assert without.kl is None
    told = terms(settings(kl_in="reward"), x)
    assert told.kl is not None
    assert torch.equal(told.loss, without.loss)


def test_tokens_the_importance_mask_leaves_out_keep_the_kl_and_nothing_is_divided_by_zero(random_tokens):
    x = random_tokens(5, LENGTHS)
    far = x.old_logp + 50.0
    algo = settings(importance="masked", entropy_coef=0.0)
    made = terms(algo, x, engine_logp=far)
    assert not made.importance.any()
    torch.testing.assert_close(made.loss, 0.05 * (torch.exp(x.reference_logp - x.logp) - (x.reference_logp - x.logp) - 1))
    nothing = terms(settings(importance="masked", entropy_coef=0.0, kl_coef=0.0), x, engine_logp=far, reference_logp=None)
    nothing.loss.sum().backward()
    assert not nothing.loss.any()
    assert not x.logp.grad.any()
