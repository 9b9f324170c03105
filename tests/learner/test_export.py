import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import shard_batch

pytestmark = pytest.mark.stack


def fp32(path):
    return ModelConfig(path=path, dtype="float32")


def train(ranks, batch, minibatches=2):
    shards = shard_batch(batch.batch, num_ranks=ranks.num, minibatches=minibatches, max_tokens=60)
    return ranks.step(shards, batch.groups)[0]


@pytest.mark.parametrize("tied", [False, True])
def test_an_export_before_and_after_training_loads_in_transformers_with_the_same_weights(two_ranks, models, plain, made, tmp_path, tied):
    path = models["qwen2", tied]
    two_ranks.make(fp32(path), LearnerConfig(lr=1e-3, persistent_elements=0))
    two_ranks.call("export", tmp_path / "before")  # before any forward pass the first gather must already be right
    start = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).state_dict()
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "before", dtype=torch.float32).state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in start.items())
    train(two_ranks, made(0, plain(path)))
    two_ranks.call("export", tmp_path / "after")
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "after", dtype=torch.float32)
    assert not torch.equal(after.state_dict()["model.embed_tokens.weight"], start["model.embed_tokens.weight"])
    live = two_ranks.weights()
    assert all(np.array_equal(parameter.detach().numpy(), live[name]) for name, parameter in after.named_parameters())
    assert AutoTokenizer.from_pretrained(tmp_path / "after")("a b").input_ids == AutoTokenizer.from_pretrained(path)("a b").input_ids


@pytest.mark.parametrize("tied", [False, True])
def test_an_export_of_lora_is_a_whole_model_with_the_matrices_merged(two_ranks, models, plain, made, tmp_path, tied):
    path = models["qwen2", tied]
    two_ranks.make(fp32(path), LearnerConfig(lr=1e-3, lora_rank=4))
    train(two_ranks, made(0, plain(path)))
    two_ranks.call("export", tmp_path)
    exported, loading = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert not list(tmp_path.glob("adapter*"))
    start, live = dict(plain(path).model.named_parameters()), two_ranks.weights()
    for name, parameter in exported.named_parameters():
        assert np.array_equal(parameter.detach().numpy(), live[name])
        assert torch.equal(parameter, start[name]) == (not name.endswith("_proj.weight"))
