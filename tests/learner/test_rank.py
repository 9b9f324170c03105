import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from toolrl.config.schema import AlgoConfig, LearnerConfig, ModelConfig
from toolrl.errors import CheckpointError, DeadlineError, LearnerError, UserError
from toolrl.learner.packing import Demonstration, shard_batch, shard_demonstrations
from toolrl.learner.rank import LearnerRank

SEQUENCES = [np.arange(3, 3 + n, dtype=np.int32) % 97 for n in (2, 31, 7, 18)]


def fp32(path):
    return ModelConfig(path=path, dtype="float32")


@pytest.mark.stack
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [False, True])
def test_log_probabilities_are_those_of_plain_transformers(ranks, models, plain, architecture, tied):
    path = models[architecture, tied]
    ranks.make(fp32(path), LearnerConfig(max_tokens_per_microbatch=40), persistence_threshold=0)
    for temperature in (1.0, 0.6):
        for found in ranks.call("logprobs", SEQUENCES, temperature):
            for ids, logp in zip(SEQUENCES, found, strict=True):
                assert logp.dtype == np.float32
                np.testing.assert_allclose(logp, plain(path).logp(ids, temperature).detach().numpy(), atol=1e-5, rtol=0)


def train(ranks, batch, minibatches=2):
    shards = shard_batch(batch.batch, num_ranks=ranks.num, minibatches=minibatches, max_tokens=60)
    return ranks.step(shards, batch.groups)[0]


@pytest.mark.stack
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_loaded_checkpoint_continues_bit_for_bit(ranks, models, plain, made, tmp_path, optimizer):
    model = fp32(models["qwen2", True])
    settings = LearnerConfig(lr=1e-3, optimizer=optimizer, schedule="cosine", warmup_steps=1)
    batches = [made(seed, plain(model.path)) for seed in range(2)]
    ranks.make(model, settings, algo=AlgoConfig(kl_coef=0.05), total_steps=9)
    train(ranks, batches[0])
    ranks.call("save", tmp_path)
    expected = train(ranks, batches[1]), ranks.weights()
    ranks.make(model, settings, algo=AlgoConfig(kl_coef=0.05), total_steps=9)
    ranks.call("load", tmp_path)
    assert ranks.each("call", [("__getattribute__", "optimizer_steps")] * ranks.num) == [2] * ranks.num
    metrics, weights = train(ranks, batches[1]), ranks.weights()
    for name in ("learner/loss", "learner/grad_norm", "learner/lr", "learner/kl"):
        assert metrics[name] == expected[0][name]
    for name, tensor in weights.items():
        assert np.array_equal(tensor, expected[1][name]), name


@pytest.mark.stack
def test_a_checkpoint_that_is_not_there_is_an_error_that_names_the_folder(one_rank, models, tmp_path):
    one_rank.make(fp32(models["qwen2", False]), LearnerConfig())
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        one_rank.call("load", tmp_path)


@pytest.mark.stack
@pytest.mark.parametrize("tied", [False, True])
def test_an_export_before_and_after_training_loads_in_transformers_with_the_same_weights(two_ranks, models, plain, made, tmp_path, tied):
    path = models["qwen2", tied]
    two_ranks.make(fp32(path), LearnerConfig(lr=1e-3), persistence_threshold=0)
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


@pytest.mark.stack
def test_supervised_training_is_cross_entropy_on_the_tokens_behind_the_prompt(ranks, models, plain):
    path = models["qwen2", False]
    rows = [Demonstration(ids, prompt) for ids, prompt in zip(SEQUENCES, (1, 12, 0, 17), strict=True)]
    ranks.make(fp32(path), LearnerConfig(lr=1e-3, weight_decay=0.0))
    shards = shard_demonstrations(rows, num_ranks=ranks.num, max_tokens=40)
    report = ranks.each("call", [("sft_step", shard) for shard in shards])[-1]
    model = plain(path)
    losses = torch.cat([-model.logp(row.token_ids)[max(row.prompt_tokens, 1) - 1 :] for row in rows])
    assert report["learner/tokens"] == len(losses) == 1 + 19 + 6 + 1
    assert report["learner/loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
    losses.mean().backward()
    norm = torch.cat([p.grad.flatten() for p in model.model.parameters()]).norm().item()
    assert report["learner/grad_norm"] == pytest.approx(norm, rel=1e-4)


@pytest.mark.stack
def test_bfloat16_computes_near_float32_and_learns_steps_too_small_for_bfloat16(two_ranks, models, plain):
    path = models["qwen2", False]
    two_ranks.make(ModelConfig(path=path, dtype="bfloat16"), LearnerConfig(lr=1e-5))
    for ids, logp in zip(SEQUENCES, two_ranks.call("logprobs", SEQUENCES, 1.0)[0], strict=True):
        np.testing.assert_allclose(logp, plain(path).logp(ids).detach().numpy(), atol=0.1)
    shards = shard_demonstrations([Demonstration(ids, 1) for ids in SEQUENCES], num_ranks=2, max_tokens=40)
    first = two_ranks.each("call", [("sft_step", shard) for shard in shards])[0]
    for _ in range(30):
        last = two_ranks.each("call", [("sft_step", shard) for shard in shards])[0]
    assert last["learner/loss"] < first["learner/loss"] - 0.01


@pytest.mark.stack
def test_a_gradient_that_is_not_finite_ends_the_run_instead_of_being_skipped(one_rank, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path))
    batch.groups[0].completions[0].logprobs[:] = np.nan
    one_rank.make(fp32(path), LearnerConfig())
    with pytest.raises(LearnerError, match="not finite"):
        train(one_rank, batch, minibatches=1)


def test_a_model_that_is_not_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match=r"model\.path"):
        LearnerRank(fp32(str(tmp_path)), LearnerConfig()).setup(0, 1, "127.0.0.1", 1)


def test_using_a_rank_before_its_setup_is_refused(tmp_path):
    with pytest.raises(LearnerError, match="setup"):
        LearnerRank(fp32(str(tmp_path)), LearnerConfig()).save(tmp_path)


@pytest.mark.stack
def test_a_rank_that_does_not_come_is_named_at_the_deadline(models, unused_port):
    learner = LearnerRank(fp32(models["qwen2", False]), LearnerConfig(start_timeout_s=1.0))
    with pytest.raises(DeadlineError, match="rank 1 of 2 did not join"):
        learner.setup(0, 2, "127.0.0.1", unused_port)
