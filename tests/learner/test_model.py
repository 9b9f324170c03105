import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from toolrl.config.schema import ModelConfig
from toolrl.errors import UserError
from toolrl.learner.collate import demonstration_tokens
from toolrl.learner.model import load_policy, read_config
from toolrl.learner.packing import Demonstration


@pytest.mark.parametrize("name", ["absent", "empty", "broken"])
def test_a_folder_without_a_model_is_an_error_that_names_the_setting_and_the_folder(tmp_path, name):
    folder = tmp_path / name
    if name != "absent":
        folder.mkdir()
    if name == "broken":
        (folder / "config.json").write_text('{"model_type": "no such model"}')
    with pytest.raises(UserError, match=rf"model\.path.*{name}"):
        read_config(str(folder))


def test_weights_that_are_missing_are_the_users_to_mend(models, tmp_path):
    AutoConfig.from_pretrained(models["qwen2", False]).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="cannot load the weights"):
        load_policy(ModelConfig(path=str(tmp_path), dtype="float32"), read_config(str(tmp_path)), {})


def test_a_head_that_does_more_than_multiply_is_refused(models, tmp_path):
    config = AutoConfig.from_pretrained(models["qwen2", False])
    config.final_logit_softcapping = 30.0
    config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="final_logit_softcapping"):
        read_config(str(tmp_path))


def test_attention_that_does_more_than_look_back_is_refused(models, tmp_path):
    config = AutoConfig.from_pretrained(models["qwen2", False])
    config.layer_types = ["full_attention", "sliding_attention"]
    config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"model\.path.*has layers of sliding_attention"):
        read_config(str(tmp_path))


def test_dropout_is_switched_off_so_that_equal_weights_give_a_ratio_of_one(models, tmp_path):
    config = AutoConfig.from_pretrained(models["llama", False])
    config.attention_dropout = 0.5
    config.save_pretrained(tmp_path)
    assert read_config(str(tmp_path)).attention_dropout == 0.0


def test_a_tensor_that_is_missing_is_named_instead_of_filled_with_random_numbers(models, tmp_path):
    path = models["qwen2", False]
    model = AutoModelForCausalLM.from_pretrained(path)
    weights = model.state_dict()
    del weights["model.layers.1.mlp.up_proj.weight"]
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(UserError, match=r"lacks 1 tensors.*layers\.1\.mlp\.up_proj"):
        load_policy(ModelConfig(path=str(tmp_path), dtype="float32"), read_config(str(tmp_path)), {})


@pytest.mark.parametrize("checkpointing", [False, True])
def test_packing_changes_no_log_probability(models, plain, checkpointing):
    path = models["qwen2", True]
    policy = load_policy(ModelConfig(path=path, dtype="float32", gradient_checkpointing=checkpointing), read_config(path), {}).train()
    ids = [torch.arange(2, 2 + n).numpy().astype("int32") for n in (5, 40)]
    logp, _ = policy(demonstration_tokens([Demonstration(i, 1) for i in ids], "cpu"), 1.0)
    torch.testing.assert_close(logp, torch.cat([plain(path).logp(i) for i in ids]), atol=1e-5, rtol=0)
    logp.sum().backward()
    assert all(parameter.grad is not None for parameter in policy.parameters())
