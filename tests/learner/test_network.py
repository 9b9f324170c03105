import numpy as np
import pytest
import torch

from toolrl.config.schema import ModelConfig
from toolrl.learner.collate import policy_tokens
from toolrl.learner.model import load_policy, read_config
from toolrl.learner.packing import MicroBatch, shard_batch


@pytest.mark.parametrize("share", [True, False], ids=["prompts shared", "prompts repeated"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_log_probabilities_and_entropies_are_those_of_plain_transformers(models, plain, made, architecture, tied, share):
    path, temperature = models[architecture, tied], 0.7
    policy, reference = load_policy(ModelConfig(path=path, dtype="float32"), read_config(path), {}), plain(path)
    batch = made(0, reference, num_prompts=3, n=4)
    (shard,) = shard_batch(batch.batch, num_ranks=1, minibatches=1, max_tokens=120, share_prompts=share)
    assert len(shard.optimizer_steps[0]) > 1
    with torch.no_grad():
        for micro in shard.optimizer_steps[0]:
            logp, entropy = policy(policy_tokens(micro, batch.groups, "cpu").tokens, temperature)
            wanted = [trained_tokens(reference, batch.groups[row.draw], row.sample, temperature) for row in micro.rows]
            torch.testing.assert_close(logp, torch.cat([each for each, _ in wanted]), atol=1e-5, rtol=0)
            torch.testing.assert_close(entropy, torch.cat([each for _, each in wanted]), atol=1e-5, rtol=1e-6)


def trained_tokens(reference, group, sample, temperature):
    """Log-probability and entropy of the trained tokens of a completion, from the full logits of its sequence alone."""
    completion = group.completions[sample]
    ids = torch.as_tensor(np.concatenate([group.draw.token_ids, completion.token_ids]).astype(np.int64))
    log_all = torch.log_softmax(reference.model(input_ids=ids[None], use_cache=False).logits[0] / temperature, dim=-1)
    at = torch.as_tensor(np.flatnonzero(completion.loss_mask)) + len(group.draw.token_ids)
    return log_all[at - 1].gather(1, ids[at, None])[:, 0], -(log_all[at - 1].exp() * log_all[at - 1]).sum(1)


def test_a_pass_without_rows_reaches_every_parameter_with_a_gradient_of_zero(models):
    path = models["qwen2", True]
    policy = load_policy(ModelConfig(path=path, dtype="float32"), read_config(path), {}).train()
    logp, _ = policy(policy_tokens(MicroBatch(()), {}, "cpu").tokens, 1.0)
    logp.sum().backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in policy.parameters())
