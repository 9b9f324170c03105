"""A completion looked at in its optimizer step: its terms and gradient are those of a plain loop, and its loss share that of the run."""

import numpy as np
import pytest
import torch

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.inspection import place_of
from toolrl.learner.packing import shard_batch

pytestmark = pytest.mark.stack
TEMPERATURE = 0.8
ALGO = AlgoConfig(kl_coef=0.05, importance_cap=1.3, entropy_coef=0.01)


def make(ranks, path, **changes):
    learner = LearnerConfig(num_ranks=ranks.num, max_tokens_per_microbatch=64, lr=1e-3, **changes)
    ranks.make(ModelConfig(path=path, dtype="float32"), learner, algo=ALGO, temperature=TEMPERATURE)


def sharded(ranks, batch, minibatches=1):
    return shard_batch(batch, num_ranks=ranks.num, minibatches=minibatches, max_tokens=64, drop_truncated=False)


def inspected(ranks, shards, groups, draw, sample):
    """The one inspection that a rank returns."""
    place = place_of(shards, draw, sample)
    arguments = [("inspect", shard, {number: groups[number] for number in shard.handles}, place) for shard in shards]
    (found,) = (each for each in ranks.each("call", arguments) if each is not None)
    return found


def logged(ranks, shards, groups):
    """What the ranks report of each completion when they train the batch."""
    arguments = [("step", shard, {number: groups[number] for number in shard.handles}) for shard in shards]
    return {draw: group for _, trained in ranks.each("call", arguments) for draw, group in trained.items()}


def plain_loss(policy, reference, group, sample, advantage):
    """The summed token losses of one completion at the start of a batch, as one would write them on a page."""
    completion = group.completions[sample]
    ids = torch.from_numpy(np.concatenate([group.draw.token_ids, completion.token_ids]).astype(np.int64))
    mask = torch.from_numpy(completion.loss_mask)
    logits = policy.model(input_ids=ids[None], use_cache=False).logits[0, len(group.draw.token_ids) - 1 : -1][mask] / TEMPERATURE
    every = torch.log_softmax(logits, dim=-1)
    logp = every.gather(1, torch.from_numpy(completion.token_ids.astype(np.int64))[mask][:, None])[:, 0]
    with torch.no_grad():
        fixed = reference.logp(ids, TEMPERATURE)[len(group.draw.token_ids) - 1 :][mask]
    weight = torch.exp(logp.detach() - torch.from_numpy(completion.logprobs)[mask]).clamp(max=ALGO.importance_cap)
    kl = torch.exp(fixed - logp) - (fixed - logp) - 1
    entropy = -(every.exp() * every).sum(-1)
    surrogate = torch.exp(logp - logp.detach()) * advantage
    return (-weight * surrogate + ALGO.kl_coef * kl - ALGO.entropy_coef * entropy).sum()


def test_gradient_and_share_of_each_completion_are_those_of_a_plain_loop_and_the_projections_add_up_to_1(ranks, models, plain, made):
    path = models["qwen2", True]
    policy, reference = plain(path), plain(path)
    small = made(3, policy, num_prompts=2, n=3, temperature=TEMPERATURE)
    rows = [row for of_group in small.rows for row in of_group]
    tokens = sum(int(group.completions[sample].loss_mask.sum()) for group, sample, _ in rows)
    losses, gradients = [], []
    for group, sample, advantage in rows:
        policy.model.zero_grad()
        loss = plain_loss(policy, reference, group, sample, advantage) / tokens
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in policy.model.parameters()]).double())
    whole = torch.stack(gradients).sum(0)

    make(ranks, path)
    shards = sharded(ranks, small.batch)
    found = [inspected(ranks, shards, small.groups, group.draw.number, sample) for group, sample, _ in rows]
    assert sum(each.projection for each in found) == pytest.approx(1, abs=1e-5)
    for each, loss, gradient in zip(found, losses, gradients, strict=True):
        assert each.loss_share == pytest.approx(loss, abs=1e-6)
        assert each.tokens.loss.sum() == pytest.approx(loss, abs=1e-6)
        assert each.gradient_norm == pytest.approx(gradient.norm().item(), rel=1e-4)
        assert each.step_gradient_norm == pytest.approx(whole.norm().item(), rel=1e-5)
        assert each.projection == pytest.approx((gradient @ whole / (whole @ whole)).item(), abs=1e-5)
        assert each.cosine == pytest.approx((gradient @ whole / whole.norm() / gradient.norm()).item(), abs=1e-5)
        assert each.denominator == tokens
    for each, (group, sample, advantage) in zip(found, rows, strict=True):
        mask = group.completions[sample].loss_mask
        np.testing.assert_array_equal(each.tokens.engine_logp, group.completions[sample].logprobs[mask])
        assert each.advantage == advantage
        np.testing.assert_array_equal(each.tokens.old_logp, each.tokens.logp)  # the first optimizer step
    trained = logged(ranks, shards, small.groups)
    for each in found:
        assert each.loss_share == trained[each.place.draw].loss_shares[each.place.sample]  # to the last bit


def test_in_a_later_optimizer_step_the_ones_before_it_are_trained_first(ranks, models, plain, made):
    path = models["llama", False]
    batch = made(4, plain(path), num_prompts=4, n=2, temperature=TEMPERATURE)
    shards = sharded(ranks, batch.batch, minibatches=2)
    make(ranks, path, minibatches=2)
    trained = logged(ranks, shards, batch.groups)
    make(ranks, path, minibatches=2)
    found = inspected(ranks, shards, batch.groups, 3, 1)
    assert (found.place.optimizer_step, found.optimizer_steps) == (1, 2)
    assert found.loss_share == trained[3].loss_shares[1]
    assert np.abs(found.tokens.logp - found.tokens.old_logp).max() > 1e-4  # the weights moved in between
    np.testing.assert_allclose(found.tokens.ratio, np.exp(found.tokens.logp - found.tokens.old_logp), rtol=1e-5)


def test_a_completion_that_no_rank_trains_has_no_place(made, models, plain):
    batch = made(4, plain(models["llama", False]), num_prompts=2, n=2)
    with pytest.raises(ValueError, match=r"does not train 9\.0"):
        place_of(shard_batch(batch.batch, num_ranks=1, minibatches=1, max_tokens=64, drop_truncated=False), 9, 0)
