"""What a batch's step refuses, skips and reports."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import LearnerError
from toolrl.learner.packing import shard_batch
from toolrl.types import Group

pytestmark = pytest.mark.stack
LEARNER = LearnerConfig(lr=1e-3, schedule="cosine", warmup_steps=1)


def shifted(groups, nats):
    """The same groups, from an engine whose log-probabilities are off by `nats`."""
    return {
        draw: Group(group.draw, tuple(replace(c, logprobs=c.logprobs + np.float32(nats)) for c in group.completions))
        for draw, group in groups.items()
    }


def same(weights, others):
    return weights.keys() == others.keys() and all(np.array_equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize("minibatches", [1, 4])
def test_the_gate_stops_before_the_weights_change(two_ranks, models, plain, made, minibatches):
    path = models["qwen2", False]
    batch = made(0, plain(path), graded=True)
    two_ranks.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=AlgoConfig(mismatch_bound=0.5))
    before = two_ranks.weights()
    shards = shard_batch(batch.batch, num_ranks=2, minibatches=minibatches, max_tokens=60)
    with pytest.raises(LearnerError, match=r"mean \|Δ log p\| 1\.\d+ nats over \d+ tokens, more than algo\.mismatch_bound=0\.5"):
        two_ranks.step(shards, shifted(batch.groups, 1.5))
    assert same(two_ranks.weights(), before)
    assert two_ranks.each("call", [("__getattribute__", "optimizer_steps")] * 2) == [0, 0]


def test_a_bound_of_zero_is_no_gate(one_rank, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path), graded=True)
    one_rank.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=AlgoConfig(mismatch_bound=0.0))
    metrics, _ = one_rank.step(shard_batch(batch.batch, num_ranks=1, minibatches=1, max_tokens=60), shifted(batch.groups, 1.5))[0]
    assert metrics["learner/mismatch_mean_abs_dlogp"] > 1.0


def test_batches_without_advantage_or_without_a_trained_token_leave_weights_momentum_and_schedule_alone(two_ranks, models, plain, made):
    path = models["qwen2", False]
    lively, other, dull = (made(seed, plain(path), graded=seed < 2, dull=seed == 2, truncated=1.0) for seed in range(3))
    algo = AlgoConfig()

    def train(batch, **choices):
        shards = shard_batch(batch.batch, num_ranks=2, minibatches=2, max_tokens=60, **choices)
        metrics, trained, _ = two_ranks.states(algo, shards, batch.groups)
        return metrics, trained

    found = []
    for skipping in (False, True):
        two_ranks.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=algo, total_steps=6)
        train(lively)
        if skipping:
            for metrics, trained in (train(dull), train(lively, drop_truncated=True)):
                assert (metrics["learner/skipped_steps"], metrics["learner/tokens"]) == (2.0, 0.0)
                assert all(set(group.loss_shares) == {None} for group in trained.values())
                assert len(trained) == 8
        metrics, _ = train(other)
        found.append((metrics["learner/lr"], two_ranks.weights()))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])


def test_advantages_of_completions_that_are_not_trained_are_reported_too(one_rank, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path), graded=True, truncated=0.4)
    one_rank.make(ModelConfig(path=path, dtype="float32"), LEARNER)
    shards = shard_batch(batch.batch, num_ranks=1, minibatches=1, max_tokens=60, drop_truncated=True)
    _, trained = one_rank.step(shards, batch.groups)[0]
    for trajectory in batch.batch.trajectories:
        group = trained[trajectory.scored.group.draw]
        assert group.advantages == trajectory.advantages
        assert tuple(share is None for share in group.loss_shares) == trajectory.scored.group.truncated


def test_an_entropy_bonus_alone_trains_a_dull_batch(one_rank, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path), dull=True)
    one_rank.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=AlgoConfig(entropy_coef=0.1))
    metrics, _ = one_rank.step(shard_batch(batch.batch, num_ranks=1, minibatches=1, max_tokens=60), batch.groups)[0]
    assert metrics["learner/skipped_steps"] == 0.0
    assert metrics["learner/loss"] == pytest.approx(-0.1 * metrics["learner/entropy"], rel=1e-5)
    assert metrics["learner/grad_norm"] > 0


def test_the_mean_importance_weight_is_that_of_the_tokens(one_rank, models, plain, made):
    path = models["qwen2", False]
    model = plain(path)
    batch = made(0, model, graded=True)
    one_rank.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=AlgoConfig(importance_cap=1.2))
    metrics, _ = one_rank.step(shard_batch(batch.batch, num_ranks=1, minibatches=1, max_tokens=60), batch.groups)[0]
    weights = []
    for completion, prompt in ((c, g.draw.token_ids) for g in batch.groups.values() for c in g.completions):
        with torch.no_grad():
            logp = model.logp(np.concatenate([prompt, completion.token_ids]))[len(prompt) - 1 :].numpy()
        weights.append(np.exp(logp - completion.logprobs)[completion.loss_mask].clip(max=1.2))
    assert metrics["learner/importance_mean"] == pytest.approx(np.concatenate(weights).mean(), rel=1e-5)
