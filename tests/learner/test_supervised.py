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
