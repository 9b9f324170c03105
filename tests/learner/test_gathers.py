"""What ZeRO-3 sends of the head, on two ranks between whose uses nothing stays gathered, and that tied weights learn there."""

import numpy as np
import pytest
import torch

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import Demonstration, shard_demonstrations

pytestmark = pytest.mark.stack
SEQUENCES = [np.arange(3 + n, 43 + n, dtype=np.int32) for n in range(4)]
ONE_SLICE, MANY_SLICES = 2**21, 1
LR = 1e-3


def make(ranks, path, **model):
    ranks.make(ModelConfig(path=path, dtype="float32", **model), LearnerConfig(persistent_elements=0, lr=LR, clip_grad_norm=0.0))


def shards():
    return shard_demonstrations([Demonstration(ids, 1) for ids in SEQUENCES], num_ranks=2, max_tokens=4096)


def gathers(ranks, head, slice_elements, method, arguments):
    return [counts[head] for counts in ranks.each("gathers", [(slice_elements, method, *args) for args in arguments])]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("tied", "head", "modules"), [(False, "lm_head.weight", 1), (True, "model.embed_tokens.weight", 2)])
def test_each_module_of_the_heads_weight_gathers_it_once_in_a_pass_however_many_slices(
    two_ranks, models, tied, head, modules, checkpointing
):
    make(two_ranks, models["qwen2", tied], gradient_checkpointing=checkpointing)
    training = [(shard,) for shard in shards()]
    for slices in (ONE_SLICE, MANY_SLICES, MANY_SLICES):  # DeepSpeed knows the order of the modules from the second pass on
        assert gathers(two_ranks, head, slices, "sft_step", training) == [2 * modules] * 2
    for slices in (ONE_SLICE, MANY_SLICES):
        assert gathers(two_ranks, head, slices, "logprobs", [(SEQUENCES, 1.0)] * 2) == [modules] * 2


def test_a_tied_weight_gets_the_gradients_of_embedding_and_head_on_every_rank(two_ranks, models, plain):
    path = models["qwen2", True]
    make(two_ranks, path)
    reference = plain(path)
    embedding = reference.model.get_input_embeddings().weight
    start = embedding.detach().numpy().copy()
    matrices = [p for p in reference.model.parameters() if p.ndim == 2]
    vectors = [p for p in reference.model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}], lr=LR)
    for _ in range(3):
        two_ranks.each("call", [("sft_step", shard) for shard in shards()])
        optimizer.zero_grad()
        (-torch.cat([reference.logp(ids) for ids in SEQUENCES]).mean()).backward()
        optimizer.step()
    got = two_ranks.weights()["model.embed_tokens.weight"]
    want = embedding.detach().numpy()
    assert np.linalg.norm(got - want) <= 1e-4 * np.linalg.norm(want - start)
