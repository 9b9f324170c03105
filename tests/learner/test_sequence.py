"""Ranks that share their sequences compute what a single process does, wherever a row is cut."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, LlamaConfig, Qwen2Config, Qwen2ForCausalLM

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import UserError
from toolrl.learner.collate import demonstration_tokens
from toolrl.learner.packing import Demonstration, shard_batch, shard_demonstrations
from toolrl.learner.sequence import check_heads, share

SEQUENCES = [np.arange(3, 3 + n, dtype=np.int32) % 97 for n in (2, 31, 7, 18)]
ALGO = AlgoConfig(loss="reinforce", importance="off", kl_coef=0.05, entropy_coef=0.01)
TEMPERATURE = 0.8
LR = 5e-5
"""Small: Adam turns the rounding of a gradient near 0 into a step of any size up to this, which later gradients show."""


def learner(ranks, share, **changes):
    return LearnerConfig(num_ranks=ranks, sequence_parallel=share, lr=LR, clip_grad_norm=0.5, weight_decay=0.1, **changes)


def fp32(path, **changes):
    return ModelConfig(path=path, dtype="float32", **changes)


class PlainLoop:
    """REINFORCE with a KL penalty and an entropy bonus: one process, one sequence at a time, full logits, torch's own AdamW."""

    def __init__(self, plain, path):
        self.policy, self.start = plain(path).model, plain(path).model
        named = list(self.policy.named_parameters())
        groups = [
            {"params": [p for _, p in named if p.ndim == 2], "weight_decay": 0.1},
            {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=LR)

    def step(self, rows):
        """Take a step; return loss, number of tokens, and the gradients before clipping."""
        losses = torch.cat([self.losses(*row) for row in rows])
        self.optimizer.zero_grad()
        losses.mean().backward()
        gradients = {name: p.grad.numpy().copy() for name, p in self.policy.named_parameters()}
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 0.5)
        self.optimizer.step()
        return losses.mean().item(), len(losses), gradients

    def logp(self, ids, temperature):
        """Log-probabilities of tokens 1 to T - 1, for the engine's in a batch."""
        ids = torch.from_numpy(ids).long()
        return torch.log_softmax(self.policy(ids[None]).logits[0, :-1] / temperature, -1).gather(1, ids[1:, None])[:, 0]

    def losses(self, group, sample, advantage):
        completion, prompt = group.completions[sample], group.draw.token_ids
        ids = torch.from_numpy(np.concatenate([prompt, completion.token_ids])).long()
        trained = np.flatnonzero(completion.loss_mask) + len(prompt)
        now, start = (torch.log_softmax(model(ids[None]).logits[0, trained - 1] / TEMPERATURE, -1) for model in (self.policy, self.start))
        logp, reference = (each.gather(1, ids[trained, None])[:, 0] for each in (now, start.detach()))
        entropy = -(now.exp() * now).sum(-1)
        gap = reference - logp
        return -advantage * logp + 0.05 * (gap.exp() - gap - 1) - 0.01 * entropy

    def weights(self):
        return {name: p.detach().numpy() for name, p in self.policy.named_parameters()}


def distance(got, want, scale=None):
    """Error of all tensors together, relative to `scale` or else to their norm."""
    assert got.keys() == want.keys()
    return norm({name: got[name] - want[name] for name in want}) / (scale or norm(want))


def norm(tensors):
    return sum(float((tensor.astype(np.float64) ** 2).sum()) for tensor in tensors.values()) ** 0.5


def check_training(ranks, loop, made, share, *, max_tokens, minibatches):
    """Train two batches alike, on shards that `share` ranks have together: equal losses, gradients and weights, on every rank."""
    for seed in range(2):  # in the second batch the policy has left the reference
        batch = made(seed, loop, temperature=TEMPERATURE)
        shards = shard_batch(batch.batch, num_ranks=ranks.num // share, minibatches=minibatches, max_tokens=max_tokens)
        answers = ranks.each("step_with_gradients", [(shards[rank // share], batch.groups) for rank in range(ranks.num)])
        parts = np.array_split(np.arange(len(batch.rows)), minibatches)
        losses, tokens, gradients = zip(*(loop.step([row for i in part for row in batch.rows[i]]) for part in parts), strict=True)
        largest = max(map(norm, gradients))  # an optimizer step whose groups are dull has next to none
        for (metrics, _), got in answers:
            assert metrics["learner/tokens"] == sum(tokens)
            assert metrics["learner/loss"] == pytest.approx(np.mean(losses), rel=1e-5)
            assert all(distance(ours, theirs, largest) <= 1e-5 for ours, theirs in zip(got, gradients, strict=True))
        for rank in range(0, ranks.num, share):
            ours = [trained for (_, trained), _ in answers[rank : rank + share]]
            assert all(each == ours[0] for each in ours)
        assert distance(ranks.weights(), loop.weights()) <= 1e-5


def row(*demonstrations):
    return demonstration_tokens([Demonstration(np.arange(n, dtype=np.int32), prompt) for n, prompt in demonstrations], "cpu")


def test_a_row_is_cut_into_equal_parts_wherever_its_sequences_end():
    whole = row((3, 1), (6, 4))  # tokens 0 1 2 | 0 1 2 3 4 5, of which 1 2 and 4 5 are trained
    left, right = (share(whole, index, 2) for index in range(2))
    assert left[0].input_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert right[0].input_ids.tolist() == [[2, 3, 4, 5, 0]]  # one token more, so that the parts are equal
    assert left[0].position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert right[0].position_ids.tolist() == [[2, 3, 4, 5, 0]]
    assert left[0].layout.lengths == right[0].layout.lengths == (3, 6, 1)
    assert (left[0].positions.tolist(), left[0].labels.tolist(), left[1]) == ([0, 1], [1, 2], 0)
    assert (right[0].positions.tolist(), right[0].labels.tolist(), right[1]) == ([1, 2], [4, 5], 2)


def test_a_part_may_have_no_trained_token_and_a_row_fewer_tokens_than_there_are_ranks():
    parts = [share(row((8, 7)), index, 4) for index in range(4)]
    assert [part.num_trained for part, _ in parts] == [0, 0, 0, 1]
    assert [start for _, start in parts] == [0, 0, 0, 0]
    parts = [share(row((2, 1)), index, 4) for index in range(4)]
    assert [part.input_ids.tolist() for part, _ in parts] == [[[0]], [[1]], [[0]], [[0]]]
    assert [part.num_trained for part, _ in parts] == [1, 0, 0, 0]


def test_an_empty_pass_is_shared_as_well():
    for index in range(2):
        part, _ = share(demonstration_tokens([], "cpu"), index, 2)
        assert part.num_computed == 1
        assert part.num_trained == 0


@pytest.mark.parametrize("make", [Qwen2Config, LlamaConfig])
def test_heads_that_cannot_be_shared_out_are_the_users_to_mend(make):
    config = make(hidden_size=96, num_attention_heads=12, num_key_value_heads=2)
    for size in (1, 2, 4, 6, 12):
        check_heads(config, size)
    for size in (3, 5, 8):
        with pytest.raises(UserError, match=rf"sequence_parallel: got {size} .* 12 attention heads and 2 .* one of 1, 2, 4, 6, 12"):
            check_heads(config, size)


def test_a_model_that_names_no_key_value_heads_has_as_many_as_attention_heads():
    check_heads(GPT2Config(n_head=12), 3)
    with pytest.raises(UserError, match="12 attention heads and 12 key-value heads"):
        check_heads(GPT2Config(n_head=12), 5)


@pytest.mark.stack
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [False, True])
def test_log_probabilities_of_shared_sequences_are_those_of_plain_transformers(two_ranks, models, plain, architecture, tied):
    path = models[architecture, tied]
    two_ranks.make(fp32(path), learner(2, 2, max_tokens_per_microbatch=64, persistent_elements=0))
    for temperature in (1.0, 0.6):
        for found in two_ranks.call("logprobs", SEQUENCES, temperature):
            for ids, logp in zip(SEQUENCES, found, strict=True):
                np.testing.assert_allclose(logp, plain(path).logp(ids, temperature).detach().numpy(), atol=1e-5, rtol=0)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("architecture", "tied", "max_tokens", "minibatches"),
    [("qwen2", False, 4096, 1), ("qwen2", True, 60, 4), ("llama", False, 60, 1), ("llama", True, 27, 2)],
)
def test_two_ranks_that_share_their_sequences_train_as_the_plain_loop_does(
    two_ranks, models, plain, made, architecture, tied, max_tokens, minibatches
):
    path = models[architecture, tied]
    two_ranks.make(fp32(path), learner(2, 2, persistent_elements=0), algo=ALGO, temperature=TEMPERATURE)
    check_training(two_ranks, PlainLoop(plain, path), made, 2, max_tokens=max_tokens, minibatches=minibatches)


@pytest.mark.stack
def test_demonstrations_lora_and_gradient_checkpointing_do_not_notice(one_rank, two_ranks, models):
    model = fp32(models["qwen2", True], gradient_checkpointing=True)
    rows = [Demonstration(ids, 1) for ids in SEQUENCES]
    found = []
    for ranks in (one_rank, two_ranks):
        ranks.make(model, learner(ranks.num, ranks.num, lora_rank=4, persistent_elements=0), algo=ALGO, seed=3)
        shards = shard_demonstrations(rows, num_ranks=1, max_tokens=40) * ranks.num
        for _ in range(2):
            answers = ranks.each("step_with_gradients", [(shard,) for shard in shards], of="sft_step")
        found.append((*answers[-1], ranks.weights(), ranks.each("reference_logprobs", [(SEQUENCES, 1.0)] * ranks.num)[-1]))
    (alone, own, merged, start), (shared, ours, pushed, same_start) = found
    assert shared["learner/tokens"] == alone["learner/tokens"] == sum(map(len, SEQUENCES)) - len(SEQUENCES)
    assert shared["learner/loss"] == pytest.approx(alone["learner/loss"], rel=1e-6)
    assert distance(ours[0], own[0]) <= 1e-5
    assert distance(pushed, merged) <= 1e-5
    for got, want in zip(same_start, start, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def four_ranks(tmp_path_factory, two_ranks):
    ranks = type(two_ranks)(4, tmp_path_factory.mktemp("ranks"))
    yield ranks
    ranks.stop()


@pytest.mark.stack
@pytest.mark.parametrize("share", [2, 4], ids=["two shares of two ranks", "more ranks than key-value heads"])
def test_four_ranks_train_as_the_plain_loop_does_however_many_share_a_sequence(four_ranks, plain, made, tmp_path, share):
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=200, initializer_range=0.05, **sizes)).save_pretrained(tmp_path)
    four_ranks.make(fp32(str(tmp_path)), learner(4, share), algo=ALGO, temperature=TEMPERATURE)
    check_training(four_ranks, PlainLoop(plain, str(tmp_path)), made, share, max_tokens=60, minibatches=2)
