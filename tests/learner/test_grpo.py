"""Five batches of GRPO beside a page of PyTorch that knows nothing of toolrl: same data, same losses, same weights."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from plain_grpo import CAP, CLIP, DECAY, KL, LR, MAX_NORM, TEMPERATURE, PlainGRPO

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import shard_batch

pytestmark = pytest.mark.stack
MINIBATCHES = 4
ALGO = AlgoConfig(clip_low=CLIP, clip_high=CLIP, kl_coef=KL, importance_cap=CAP)
LEARNER = LearnerConfig(lr=LR, weight_decay=DECAY, clip_grad_norm=MAX_NORM, minibatches=MINIBATCHES)


def groups_of(batch):
    """The groups of a batch as lists of samples, in draw order."""
    return [
        [
            {
                "prompt": group.draw.token_ids, "completion": completion.token_ids, "mask": completion.loss_mask,
                "engine_logp": completion.logprobs, "reward": verdict.reward,
            }
            for completion, verdict in zip(group.completions, trajectory.scored.verdicts, strict=True)
        ]
        for trajectory, group in ((t, batch.groups[t.scored.group.draw]) for t in batch.batch.trajectories)
    ]  # fmt: skip


def norm(tensors):
    return sum(float((tensor.astype(np.float64) ** 2).sum()) for tensor in tensors) ** 0.5


def test_five_batches_are_learned_as_by_a_page_of_pytorch(ranks, models, plain, made):
    path = models["qwen2", True]
    ranks.make(ModelConfig(path=path, dtype="float32"), LEARNER, algo=ALGO, temperature=TEMPERATURE)
    engine = plain(path)
    page = PlainGRPO(engine.model)
    start = {name: p.detach().numpy().copy() for name, p in engine.model.named_parameters()}
    for seed in range(5):
        batch = made(seed, engine, temperature=TEMPERATURE, graded=True)
        shards = shard_batch(batch.batch, num_ranks=ranks.num, minibatches=MINIBATCHES, max_tokens=60)
        metrics, _ = ranks.step(shards, batch.groups)[0]
        groups = groups_of(batch)
        losses = page.train([[groups[i] for i in part] for part in np.array_split(np.arange(len(groups)), MINIBATCHES)])
        assert metrics["learner/loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    theirs, ours = {name: p.detach().numpy() for name, p in engine.model.named_parameters()}, ranks.weights()
    assert ours.keys() == theirs.keys()
    moved = norm(theirs[name] - start[name] for name in theirs)
    assert norm(ours[name] - theirs[name] for name in theirs) <= 1e-4 * moved
