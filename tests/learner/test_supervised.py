import numpy as np
import pytest
import torch

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import Demonstration, shard_demonstrations

pytestmark = pytest.mark.stack
SEQUENCES = [np.arange(3, 3 + n, dtype=np.int32) % 97 for n in (2, 31, 7, 18)]


def test_supervised_training_is_cross_entropy_on_the_tokens_behind_the_prompt(ranks, models, plain):
    path = models["qwen2", False]
    rows = [Demonstration(ids, prompt) for ids, prompt in zip(SEQUENCES, (1, 12, 0, 17), strict=True)]
    ranks.make(ModelConfig(path=path, dtype="float32"), LearnerConfig(lr=1e-3, weight_decay=0.0))
    shards = shard_demonstrations(rows, num_ranks=ranks.num, max_tokens=40)
    report = ranks.each("call", [("sft_step", shard) for shard in shards])[-1]
    model = plain(path)
    losses = torch.cat([-model.logp(row.token_ids)[max(row.prompt_tokens, 1) - 1 :] for row in rows])
    assert report["learner/tokens"] == len(losses) == 1 + 19 + 6 + 1
    assert report["learner/loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
    losses.mean().backward()
    norm = torch.cat([p.grad.flatten() for p in model.model.parameters()]).norm().item()
    assert report["learner/grad_norm"] == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("budget", [31, 60])
def test_what_is_only_measured_is_the_same_loss_and_leaves_the_weights_alone(ranks, models, plain, budget):
    path = models["qwen2", False]
    rows = [Demonstration(ids, prompt) for ids, prompt in zip(SEQUENCES, (1, 12, 0, 17), strict=True)]
    ranks.make(ModelConfig(path=path, dtype="float32"), LearnerConfig())
    shards = shard_demonstrations(rows, num_ranks=ranks.num, max_tokens=budget)
    found = [loss for losses in ranks.each("call", [("sft_losses", shard) for shard in shards]) for loss in losses]
    model = plain(path)
    with torch.no_grad():
        expected = [-model.logp(row.token_ids)[max(row.prompt_tokens, 1) - 1 :] for row in rows]
    assert sorted(tokens for _, tokens in found) == [1, 1, 6, 19]
    assert sorted(loss for loss, _ in found) == pytest.approx(sorted(float(each.sum()) for each in expected), rel=1e-5)
    mean = sum(loss for loss, _ in found) / sum(tokens for _, tokens in found)
    assert mean == pytest.approx(torch.cat(expected).mean().item(), abs=1e-5)
    before = ranks.weights()
    ranks.each("call", [("sft_losses", shard) for shard in shards])
    assert all(np.array_equal(before[name], weight) for name, weight in ranks.weights().items())
