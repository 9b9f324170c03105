"""The learner against a plain loop: one process, one sequence at a time, no padding, full logits, torch's own optimizer."""

import numpy as np
import pytest
import torch

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import shard_batch

pytestmark = pytest.mark.stack
TEMPERATURE = 0.8
ALGO = AlgoConfig(clip_low=0.005, clip_high=0.008, kl_coef=0.05, importance="token", importance_cap=1.3)
LR = 2e-4
"""Small, with narrow clips: Adam turns the rounding of a gradient near 0 into a step of any size up to this, on either side."""


def learner(**changes):
    return LearnerConfig(lr=LR, clip_grad_norm=0.5, weight_decay=0.1, **changes)


class PlainTrainer:
    """GRPO as one would write it on a page."""

    def __init__(self, plain, path):
        self.policy, self.reference = plain(path), plain(path)
        named = list(self.policy.model.named_parameters())
        groups = [
            {"params": [p for _, p in named if p.ndim == 2], "weight_decay": 0.1},
            {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=LR)

    def logp(self, model, group, sample):
        completion = group.completions[sample]
        ids = np.concatenate([group.draw.token_ids, completion.token_ids])
        return model.logp(ids, TEMPERATURE)[len(group.draw.token_ids) - 1 :][torch.from_numpy(completion.loss_mask)]

    def step(self, made, minibatches):
        """Return the loss and gradient of each optimizer step."""
        parts = [[row for i in part for row in made.rows[i]] for part in np.array_split(np.arange(len(made.rows)), minibatches)]
        with torch.no_grad():
            old = [[self.logp(self.policy, group, i) for group, i, _ in part] for part in parts]
            fixed = [[self.logp(self.reference, group, i) for group, i, _ in part] for part in parts]
        losses, gradients = [], []
        for part, old_part, fixed_part in zip(parts, old, fixed, strict=True):
            total, count = 0.0, 0
            for (group, i, advantage), before, reference in zip(part, old_part, fixed_part, strict=True):
                mask = group.completions[i].loss_mask
                now = self.logp(self.policy, group, i)
                ratio = torch.exp(now - before)
                weight = torch.exp(before - torch.from_numpy(group.completions[i].logprobs[mask])).clamp(max=ALGO.importance_cap)
                surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - ALGO.clip_low, 1 + ALGO.clip_high) * advantage)
                kl = torch.exp(reference - now) - (reference - now) - 1
                total = total + (-surrogate * weight + ALGO.kl_coef * kl).sum()
                count += int(mask.sum())
            self.optimizer.zero_grad()
            (total / count).backward()
            losses.append((total.item(), count))
            gradients.append({name: p.grad.numpy().copy() for name, p in self.policy.model.named_parameters()})
            torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), 0.5)
            self.optimizer.step()
        return sum(total / count for total, count in losses) / len(losses), gradients

    def weights(self):
        return {name: p.detach().numpy() for name, p in self.policy.model.named_parameters()}


def norm(tensors):
    return sum(float((tensor.astype(np.float64) ** 2).sum()) for tensor in tensors.values()) ** 0.5


def distance(got, want, scale=None):
    """Error of all tensors together, relative to `scale` or else to their norm."""
    assert got.keys() == want.keys()
    return norm({name: got[name] - want[name] for name in want}) / (scale or norm(want))


@pytest.mark.parametrize(
    ("architecture", "tied", "max_tokens", "minibatches", "persistence"),
    [
        ("qwen2", False, 4096, 1, 0),
        ("qwen2", True, 60, 1, 0),
        ("llama", False, 60, 1, 2**18),
        ("qwen2", True, 60, 4, 2**18),
        ("qwen2", False, 27, 2, 0),
    ],
)
def test_any_split_over_ranks_and_micro_batches_trains_as_the_plain_loop_does(
    ranks, models, plain, made, architecture, tied, max_tokens, minibatches, persistence
):
    path = models[architecture, tied]
    settings = learner(persistent_elements=persistence)
    ranks.make(ModelConfig(path=path, dtype="float32"), settings, algo=ALGO, temperature=TEMPERATURE)
    reference = PlainTrainer(plain, path)
    for seed in range(2):  # in the second batch the policy has left the reference
        batch = made(seed, reference.policy, temperature=TEMPERATURE)
        shards = shard_batch(batch.batch, num_ranks=ranks.num, minibatches=minibatches, max_tokens=max_tokens)
        loss, gradients = reference.step(batch, minibatches)
        (metrics, _), got = ranks.step(shards, batch.groups, gradients=True)[-1]
        assert len(got) == minibatches
        largest = max(norm(gradient) for gradient in gradients)  # an optimizer step of dull groups has next to none
        for ours, theirs in zip(got, gradients, strict=True):
            assert distance(ours, theirs, largest) <= 1e-5
        assert (metrics["learner/clip_share"] > 0) == (minibatches > 1)
        assert metrics["learner/loss"] == pytest.approx(loss, rel=1e-5, abs=1e-6)
        assert distance(ranks.weights(), reference.weights()) <= 1e-5


def test_the_order_of_groups_within_an_optimizer_step_does_not_matter(one_rank, models, plain, made):
    model = ModelConfig(path=models["qwen2", False], dtype="float32")
    batch = made(0, plain(model.path))
    turned = type(batch.batch)(batch.batch.version, batch.batch.trajectories[::-1])
    found = []
    for each in (batch.batch, turned):
        one_rank.make(model, learner(), algo=ALGO)
        shards = shard_batch(each, num_ranks=1, minibatches=1, max_tokens=60)
        found.append(one_rank.step(shards, batch.groups, gradients=True)[0][1][0])
    assert distance(*found) <= 1e-5


def test_a_batch_in_which_nothing_is_better_than_its_siblings_takes_no_step(two_ranks, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path), dull=True)
    two_ranks.make(ModelConfig(path=path, dtype="float32"), learner(), algo=AlgoConfig(kl_coef=0.0))
    before = two_ranks.weights()
    for report, _ in two_ranks.step(shard_batch(batch.batch, num_ranks=2, minibatches=2, max_tokens=60), batch.groups):
        assert report["learner/skipped_steps"] == 2.0
        assert "learner/loss" not in report
    assert distance(two_ranks.weights(), before) == 0.0


def test_a_dull_batch_still_trains_its_kl_term(two_ranks, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path), dull=True)
    two_ranks.make(ModelConfig(path=path, dtype="float32"), learner(), algo=ALGO)
    shards = shard_batch(batch.batch, num_ranks=2, minibatches=1, max_tokens=60)
    report, _ = two_ranks.step(shards, batch.groups)[0]
    assert report["learner/skipped_steps"] == 0.0
    assert report["learner/policy_loss"] == 0.0


def test_all_ranks_agree_which_optimizer_step_is_skipped_though_only_one_of_them_has_an_advantage(two_ranks, models, plain, made):
    path = models["qwen2", False]
    dull, lively = made(0, plain(path), dull=True), made(1, plain(path))
    last = next(t for t in lively.batch.trajectories if any(t.advantages))
    number = last.scored.group.draw
    kept = [t for t in dull.batch.trajectories if t.scored.group.draw != number][:7]
    groups = {t.scored.group.draw: dull.groups[t.scored.group.draw] for t in kept} | {number: lively.groups[number]}
    shards = shard_batch(type(dull.batch)(dull.batch.version, (*kept, last)), num_ranks=2, minibatches=2, max_tokens=60)
    two_ranks.make(ModelConfig(path=path, dtype="float32"), learner(), algo=AlgoConfig(kl_coef=0.0))
    reports = [report for report, _ in two_ranks.step(shards, groups)]
    assert [report["learner/skipped_steps"] for report in reports] == [1.0, 1.0]
    assert two_ranks.each("call", [("__getattribute__", "optimizer_steps")] * 2) == [1, 1]


def test_the_metrics_are_those_of_the_tokens_of_all_ranks(two_ranks, models, plain, made):
    path = models["qwen2", False]
    model = plain(path)
    batch = made(0, model)
    two_ranks.make(ModelConfig(path=path, dtype="float32"), learner(), algo=AlgoConfig())
    shards = shard_batch(batch.batch, num_ranks=2, minibatches=1, max_tokens=60)
    reports = [report for report, _ in two_ranks.step(shards, batch.groups)]
    gaps = []
    for group, i, _ in (row for rows in batch.rows for row in rows):
        completion = group.completions[i]
        with torch.no_grad():
            logp = model.logp(np.concatenate([group.draw.token_ids, completion.token_ids]))[len(group.draw.token_ids) - 1 :]
        gaps.append((logp.numpy() - completion.logprobs)[completion.loss_mask])
    d = np.concatenate(gaps).astype(np.float64)
    for report in reports:
        assert report["learner/tokens"] == len(d)
        assert report["learner/mismatch_mean_abs_dlogp"] == pytest.approx(np.abs(d).mean(), rel=1e-4)
        assert report["learner/mismatch_max_abs_dlogp"] == pytest.approx(np.abs(d).max(), rel=1e-4)
        assert report["learner/mismatch_kl"] == pytest.approx((np.exp(d) - d - 1).mean(), rel=1e-3)
        assert report["learner/ess"] == pytest.approx(np.exp(d).sum() ** 2 / (len(d) * np.exp(2 * d).sum()), rel=1e-4)
        assert report["learner/ratio_max"] == 1.0
        assert report["learner/clip_share"] == 0.0
    timed = {"learner/step_s", "learner/flops_per_s"}  # each rank has a clock of its own
    same = [{k: v for k, v in report.items() if k not in timed} for report in reports]
    assert same[0] == same[1]
