import os

import numpy as np
import pytest
import torch

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import CheckpointError, LearnerError
from toolrl.learner.optimizer import schedule_factor
from toolrl.learner.packing import Demonstration, shard_batch, shard_demonstrations

pytestmark = pytest.mark.stack


class Planted:
    """What, unpickled, makes the folder `path`."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


SEQUENCES = [np.arange(3, 3 + n, dtype=np.int32) % 97 for n in (2, 31, 7, 18)]


def fp32(path):
    return ModelConfig(path=path, dtype="float32")


def train(ranks, batch, minibatches=2):
    shards = shard_batch(batch.batch, num_ranks=ranks.num, minibatches=minibatches, max_tokens=60)
    metrics, _ = ranks.step(shards, batch.groups)[0]
    return metrics


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
    assert metrics["learner/lr"] == pytest.approx(1e-3 * schedule_factor(settings, 9)(3))
    for name in ("learner/loss", "learner/grad_norm", "learner/lr", "learner/kl"):
        assert metrics[name] == expected[0][name]
    for name, tensor in weights.items():
        assert np.array_equal(tensor, expected[1][name]), name


def test_each_rank_tells_its_files_and_about_how_large_they_will_be(ranks, models, made, plain, tmp_path):
    model = fp32(models["qwen2", False])
    ranks.make(model, LearnerConfig())
    train(ranks, made(0, plain(model.path)))
    sizes = ranks.each("call", [("sizes",)] * ranks.num)
    for which, method in enumerate(("save", "export")):
        folder = tmp_path / method
        files = [path for of_rank in ranks.each("call", [(method, folder)] * ranks.num) for path in of_rank]
        scripts = set(folder.glob("zero_to_*.py"))  # DeepSpeed's, from one of them
        assert sorted(files) == sorted(path for path in folder.rglob("*") if path.is_file() and path not in scripts)
        told, written = sum(size[which] for size in sizes), sum(path.stat().st_size for path in files)
        assert told <= written < told + 300_000, (method, told, written)  # what is not weights: names, shapes, the tokenizer


def test_a_checkpoint_that_is_not_there_is_an_error_that_names_the_folder(one_rank, models, tmp_path):
    one_rank.make(fp32(models["qwen2", False]), LearnerConfig())
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        one_rank.call("load", tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused_by_every_rank(two_ranks, models, tmp_path):
    two_ranks.make(fp32(models["qwen2", False]), LearnerConfig())
    two_ranks.call("save", tmp_path / "saved")
    for path in (tmp_path / "saved").rglob("*optim_states.pt"):
        torch.save({**torch.load(path, weights_only=False), "more": Planted(tmp_path / "ran")}, path)
    with pytest.raises(CheckpointError, match=r"asks for posix\.mkdir"):
        two_ranks.call("load", tmp_path / "saved")
    assert not (tmp_path / "ran").exists()


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


def test_a_gradient_that_is_not_finite_ends_the_run_instead_of_being_skipped(one_rank, models, plain, made):
    path = models["qwen2", False]
    batch = made(0, plain(path))
    batch.groups[0].completions[0].logprobs[:] = np.nan
    one_rank.make(fp32(path), LearnerConfig(), algo=AlgoConfig(mismatch_bound=0.0))
    with pytest.raises(LearnerError, match="not finite"):
        train(one_rank, batch, minibatches=1)


def apart(weights, others, start):
    """Distance of two trained models, relative to how far training has moved them."""
    gap, moved = (sum(float(((w[name] - x[name]) ** 2).sum()) for name in start) ** 0.5 for w, x in ((weights, others), (weights, start)))
    return gap / moved


def test_muon_on_two_ranks_is_muon_on_one(one_rank, two_ranks, models, plain, made):
    model = fp32(models["qwen2", False])
    batch = made(0, plain(model.path))
    weights = []
    for ranks in (one_rank, two_ranks):
        ranks.make(model, LearnerConfig(lr=1e-4, muon_lr=1e-3, optimizer="muon", persistent_elements=0))
        start = ranks.weights()
        train(ranks, batch)
        weights.append(ranks.weights())
    assert apart(*weights, start) <= 1e-4
