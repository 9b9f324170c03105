"""Every loss, aggregation, correction and KL of a batch's step against plain sums over completions, at the weights of each optimizer step.

The plain side runs one sequence at a time through Transformers, in one process, and takes its weights from the ranks: so a difference is
one of this step, not of those before.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import plain_objective

from toolrl.config.learning import LOSSES, AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import shard_batch

pytestmark = pytest.mark.stack
TEMPERATURE, MINIBATCHES = 0.8, 2
BASE = AlgoConfig(
    clip_low=0.004,
    clip_high=0.006,
    dual_clip=1.008,
    kl_coef=0.05,
    loss_constant=40,
    importance_cap=1.3,
    importance_floor=0.8,
    mismatch_bound=0.0,
)
"""Bounds so narrow that the second optimizer step meets them."""
LEARNER = LearnerConfig(lr=2e-4, persistent_elements=0)


class Plain:
    """Gradients and loss shares at weights that are given."""

    def __init__(self, plain, path, batch, algo, *, drop_truncated=False):
        self.policy, self.reference, self.algo, self.batch = plain(path), plain(path), algo, batch
        self.rows = [
            [(group, i, advantage) for group, i, advantage in rows if not (drop_truncated and group.completions[i].truncated)]
            for rows in batch.rows
        ]

    def distribution(self, model, group, sample):
        """Log-probability and entropy at each trained token."""
        completion = group.completions[sample]
        ids = torch.as_tensor(np.concatenate([group.draw.token_ids, completion.token_ids])).long()
        logits = model.model(input_ids=ids[None], use_cache=False).logits[0, len(group.draw.token_ids) - 1 : -1] / TEMPERATURE
        log_all = torch.log_softmax(logits, -1)[torch.from_numpy(completion.loss_mask)]
        labels = torch.as_tensor(completion.token_ids).long()[torch.from_numpy(completion.loss_mask)]
        return log_all.gather(1, labels[:, None])[:, 0], -(log_all.exp() * log_all).sum(-1)

    def logps(self, model):
        with torch.no_grad():
            return {(g.draw.number, i): self.distribution(model, g, i)[0] for rows in self.rows for g, i, _ in rows}

    def load(self, weights):
        with torch.no_grad():
            for name, parameter in self.policy.model.named_parameters():
                parameter.copy_(torch.from_numpy(weights[name]))

    def advantages(self, old, fixed):
        """By (draw, sample); with the KL penalty in them where it belongs there."""
        if self.algo.kl_in == "loss":
            return {(g.draw.number, i): a for rows in self.rows for g, i, a in rows}
        rewards = [[verdict.reward for verdict in t.scored.verdicts] for t in self.batch.batch.trajectories]
        for draw, group in enumerate(rewards):
            if len(set(group)) < 2:
                continue  # nothing to compare: not told apart by the KL either
            for i, reward in enumerate(group):
                known = (draw, i) in old
                group[i] = (
                    reward - self.algo.kl_coef * plain_objective.kl(self.algo, old[draw, i], fixed[draw, i]).double().sum().item()
                    if known
                    else None
                )
        made = plain_objective.advantages(self.algo, rewards)
        return {key: made[key[0]][key[1]] for key in old}

    def steps(self, weights):
        """Yield the loss share of each completion, and the gradient, of each optimizer step that begins with the next of `weights`."""
        self.load(weights[0])
        old, fixed = self.logps(self.policy), self.logps(self.reference)
        advantages = self.advantages(old, fixed)
        for part, start in zip(np.array_split(np.arange(len(self.rows)), MINIBATCHES), weights, strict=True):
            self.load(start)
            self.policy.model.zero_grad()
            rows = [row for i in part for row in self.rows[i]]
            shares = plain_objective.shares(self.algo, [self.losses(group, i, old, fixed, advantages) for group, i, _ in rows])
            sum(shares).backward()
            gradient = {name: p.grad.numpy().copy() for name, p in self.policy.model.named_parameters()}
            yield {(g.draw.number, i): share.item() for (g, i, _), share in zip(rows, shares, strict=True)}, gradient

    def losses(self, group, i, old, fixed, advantages):
        key, completion = (group.draw.number, i), group.completions[i]
        now, entropy = self.distribution(self.policy, group, i)
        engine = torch.from_numpy(completion.logprobs[completion.loss_mask])
        return plain_objective.token_loss(self.algo, now, entropy, old[key], engine, fixed[key], float(advantages[key]))


def norm(tensors):
    return sum(float((tensor.astype(np.float64) ** 2).sum()) for tensor in tensors) ** 0.5


def check(ranks, plain, path, batch, algo, *, max_tokens):
    """Train the batch by `algo`: equal gradients, loss shares and advantages in each optimizer step. Returns the metrics."""
    shards = shard_batch(
        batch.batch, num_ranks=ranks.num, minibatches=MINIBATCHES, max_tokens=max_tokens, drop_truncated=algo.truncated == "mask"
    )
    if algo.kl_in == "reward":
        rewards = {t.scored.group.draw: tuple(verdict.reward for verdict in t.scored.verdicts) for t in batch.batch.trajectories}
        shards = [replace(shard, rewards={draw: rewards[draw] for draw in shard.handles}) for shard in shards]
    metrics, trained, states = ranks.states(algo, shards, batch.groups)
    reference = Plain(plain, path, batch, algo, drop_truncated=algo.truncated == "mask")
    expected, losses = {}, []
    for (_, ours), (shares, theirs) in zip(states, reference.steps([weights for weights, _ in states]), strict=True):
        assert norm(ours[name] - theirs[name] for name in theirs) <= 1e-5 * norm(theirs.values()), algo
        expected |= shares
        losses.append(sum(shares.values()))
    assert metrics["learner/loss"] == pytest.approx(np.mean(losses), rel=1e-5, abs=1e-6)
    scale = max(map(abs, expected.values()))
    for draw, group in trained.items():
        for i, share in enumerate(group.loss_shares):
            assert (share is None) == ((draw, i) not in expected)
            assert share is None or share == pytest.approx(expected[draw, i], rel=1e-4, abs=1e-5 * scale)
    total = sum(share for group in trained.values() for share in group.loss_shares if share is not None)
    assert metrics["learner/loss"] * MINIBATCHES == pytest.approx(total, rel=1e-9, abs=1e-12)
    return metrics


@pytest.fixture
def learner(ranks, models, plain, made):
    """Train a batch by an `algo` and compare; the weights go on from one call to the next."""
    path = models["qwen2", True]
    ranks.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=BASE, temperature=TEMPERATURE, total_steps=1000)
    batch = made(3, plain(path), num_prompts=4, temperature=TEMPERATURE, graded=True, truncated=0.25)

    def train(max_tokens=60, **choices):
        return check(ranks, plain, path, batch, replace(BASE, **choices), max_tokens=max_tokens)

    return train


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "constant"])
def test_the_gradient_of_every_loss_and_aggregation_is_the_plain_one(learner, aggregation):
    for loss in LOSSES:
        metrics = learner(loss=loss, aggregation=aggregation)
        assert (metrics["learner/clip_share"] > 0) == (loss != "reinforce")


def test_the_gradient_of_every_correction_kl_and_bonus_is_the_plain_one(learner):
    learner(max_tokens=4096, importance="sequence")
    learner(max_tokens=30, importance="geometric", aggregation="sequence_mean")
    learner(max_tokens=100, importance="masked")
    learner(importance="off", entropy_coef=0.01)
    learner(kl_estimator="k1", loss="gspo", aggregation="sequence_mean", importance="sequence")
    learner(kl_estimator="k2", entropy_coef=0.02, aggregation="constant")
    learner(kl_coef=1e-6, truncated="mask", aggregation="sequence_mean")


def test_a_kl_penalty_in_the_reward_changes_the_advantages_of_all_ranks_alike(learner):
    learner()  # away from the reference
    learner(kl_in="reward", kl_estimator="k1", kl_coef=0.5, advantage="batch")
    learner(kl_in="reward", kl_estimator="k2", kl_coef=5.0, advantage="leave_one_out", truncated="mask", max_tokens=30)
    learner(kl_in="reward", kl_estimator="k3", kl_coef=5.0, advantage="mean")
    learner(kl_in="reward", kl_estimator="k1", kl_coef=0.5, advantage="group", aggregation="constant")
