"""A model made of the shards of a checkpoint is the one that the ranks themselves export."""

import pytest
import torch
from safetensors.torch import load_file

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import CheckpointError
from toolrl.learner.consolidate import consolidate
from toolrl.learner.packing import shard_batch

pytestmark = pytest.mark.stack

CASES = {
    "tied": (True, "float32", LearnerConfig(lr=1e-3, persistent_elements=0)),
    "muon": (True, "float32", LearnerConfig(lr=1e-3, optimizer="muon")),
    "bfloat16": (False, "bfloat16", LearnerConfig(lr=1e-2)),
    "lora": (False, "float32", LearnerConfig(lr=1e-3, lora_rank=4)),
}


@pytest.fixture
def trained(two_ranks, models, plain, made, tmp_path):
    """Train a batch; returns the model's settings, with a checkpoint in `saved` and an export of the ranks in `live`."""

    def train(tied, dtype, learner):
        model = ModelConfig(path=models["qwen2", tied], dtype=dtype)
        batch = made(0, plain(model.path))
        two_ranks.make(model, learner)
        two_ranks.step(shard_batch(batch.batch, num_ranks=2, minibatches=2, max_tokens=60), batch.groups)
        two_ranks.call("save", tmp_path / "saved")
        two_ranks.call("export", tmp_path / "live")
        return model

    return train


@pytest.mark.parametrize("case", CASES)
def test_the_shards_give_the_model_that_the_ranks_export(trained, tmp_path, capsys, case):
    tied, dtype, learner = CASES[case]
    model = trained(tied, dtype, learner)
    capsys.readouterr()
    consolidate(tmp_path / "saved", model, learner, seed=5, folder=tmp_path / "made")
    assert capsys.readouterr() == ("", "")
    live, made = (load_file(tmp_path / name / "model.safetensors") for name in ("live", "made"))
    assert live.keys() == made.keys()
    assert all(torch.equal(made[name], tensor) and made[name].dtype == tensor.dtype for name, tensor in live.items())
    assert {path.name for path in (tmp_path / "live").iterdir()} == {path.name for path in (tmp_path / "made").iterdir()}
    start = load_file(f"{model.path}/model.safetensors")
    assert any(not torch.equal(made[name].float(), start[name].float()) for name in made)


def test_shards_of_another_model_or_none_are_an_error_that_names_the_folder(trained, models, tmp_path):
    trained(False, "float32", LearnerConfig())
    with pytest.raises(CheckpointError, match=r"saved: is of another model: expected .* got nothing"):
        consolidate(
            tmp_path / "saved",
            ModelConfig(path=models["llama", True], dtype="float32"),
            LearnerConfig(lora_rank=2),
            seed=0,
            folder=tmp_path / "x",
        )
    with pytest.raises(CheckpointError, match="absent: its shards cannot be put together"):
        consolidate(
            tmp_path / "absent", ModelConfig(path=models["qwen2", False], dtype="float32"), LearnerConfig(), seed=0, folder=tmp_path / "x"
        )
    assert not (tmp_path / "x").exists()
