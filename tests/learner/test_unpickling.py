"""A checkpoint that would run code while it is read is refused, whichever part of DeepSpeed reads it."""

import json
import os
from contextlib import suppress

import pytest
import torch
from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import CheckpointError, UserError
from toolrl.learner.consolidate import consolidate
from toolrl.learner.model import load_causal, read_config
from toolrl.learner.unpickling import SWITCH, tensors_only
from toolrl.testing.demo_model import tiny_model


class Planted:
    """What, unpickled, makes the file `path`."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def planted(tmp_path, request):
    """A checkpoint of one rank, all files of which run code; and the folder which that makes."""
    (tmp_path / "saved" / "learner").mkdir(parents=True)
    for kind in ("model", "optim"):
        path = tmp_path / "saved" / "learner" / f"zero_pp_rank_0_mp_rank_00_{kind}_states.pt"
        torch.save({"module": Planted(tmp_path / "ran")}, path, _use_new_zipfile_serialization=request.param)
    return tmp_path / "saved", tmp_path / "ran"


def test_deepspeeds_own_reader_runs_no_code(planted):
    saved, ran = planted
    file = next(saved.rglob("*.pt"))
    with pytest.raises(CheckpointError, match=r"saved: a file of the checkpoint asks for posix.mkdir, .* not loaded"), tensors_only(saved):
        TorchCheckpointEngine().load(str(file))
    assert not ran.exists()
    TorchCheckpointEngine().load(str(file))
    assert ran.exists(), "the file would have run code"


def test_what_an_export_puts_together_runs_no_code(planted, tmp_path):
    saved, ran = planted
    tiny_model(tmp_path / "model", tied=True)
    with pytest.raises(CheckpointError, match=r"asks for posix\.mkdir"):
        consolidate(saved, ModelConfig(path=str(tmp_path / "model"), dtype="float32"), LearnerConfig(), seed=0, folder=tmp_path / "out")
    assert not ran.exists()
    assert not (tmp_path / "out").exists()


def test_what_deepspeed_stores_beside_tensors_is_read(tmp_path):
    torch.save({"scaler": LossScaler(1), "stage": ZeroStageEnum.weights, "weights": torch.arange(3)}, tmp_path / "a.pt")
    with tensors_only(tmp_path):
        found = TorchCheckpointEngine().load(str(tmp_path / "a.pt"))
    assert found["stage"] is ZeroStageEnum.weights
    assert found["weights"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04"])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"), tensors_only(tmp_path):
        TorchCheckpointEngine().load(str(tmp_path / "a.pt"))


@pytest.mark.parametrize("before", [None, "0"])
def test_the_switch_is_as_it_was_afterwards(tmp_path, monkeypatch, before):
    monkeypatch.delenv(SWITCH, raising=False)
    if before is not None:
        monkeypatch.setenv(SWITCH, before)
    with tensors_only(tmp_path):
        assert os.environ[SWITCH] == "1"
    assert os.environ.get(SWITCH) == before


@pytest.fixture
def model(tmp_path):
    """A model's folder."""
    tiny_model(tmp_path / "model", tied=True)
    return tmp_path / "model"


def test_a_start_checkpoint_of_pickled_weights_runs_no_code(model, tmp_path):
    (model / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Planted(tmp_path / "ran")}, model / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"cannot load the weights of .* the pickle asks for posix\.mkdir"):
        load_causal(ModelConfig(path=str(model), dtype="float32"), read_config(str(model)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("load", [read_config, ChatTokenizer])
def test_code_that_a_models_folder_brings_along_is_not_run_nor_asked_about(model, tmp_path, monkeypatch, load):
    (model / "planted.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    named = {"AutoConfig": "planted.Planted", "AutoTokenizer": ["planted.Planted", "planted.Planted"]}
    for file, more in {"config.json": {"model_type": "unheard_of"}, "tokenizer_config.json": {"tokenizer_class": "Planted"}}.items():
        content = json.loads((model / file).read_text())
        (model / file).write_text(json.dumps(content | more | {"auto_map": named}))
    monkeypatch.setattr("builtins.input", lambda _: "y")
    with suppress(UserError):
        load(str(model))
    assert not (tmp_path / "ran").exists()
