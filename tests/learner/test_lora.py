import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from toolrl.config.learning import LearnerConfig
from toolrl.errors import UserError
from toolrl.learner.lora import add_adapters, without_adapters
from toolrl.learner.optimizer import build_optimizer

IDS = torch.arange(3, 20)[None]


def load(models, **changes):
    """A plain tiny model with LoRA."""
    causal = AutoModelForCausalLM.from_pretrained(models["qwen2", True], dtype=changes.pop("dtype", torch.float32))
    add_adapters(causal, LearnerConfig(lora_rank=4, **changes), seed=5)
    return causal


def trained(causal):
    return {name for name, parameter in causal.named_parameters() if parameter.requires_grad}


def randomize(causal):
    for name, parameter in causal.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)


def test_all_linear_is_every_linear_layer_but_the_head_and_only_the_matrices_are_trained(models):
    names = trained(load(models))
    assert {name.split(".lora_")[0].rsplit(".", 1)[1] for name in names} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert all(".lora_A." in name or ".lora_B." in name for name in names)


def test_modules_can_be_named(models):
    names = trained(load(models, lora_targets="q_proj, v_proj"))
    assert {name.split(".lora_")[0].rsplit(".", 1)[1] for name in names} == {"q_proj", "v_proj"}


@pytest.mark.parametrize(
    ("targets", "wrong"),
    [("q_proj,lm_head", "lm_head is"), ("embed_tokens", "embed_tokens is"), ("qproj,v_proj,norm", "qproj, norm are"), (" ,", "nothing is")],
)
def test_a_name_that_is_no_inner_linear_layer_is_the_users_to_mend(models, targets, wrong):
    with pytest.raises(UserError, match=rf"learner\.lora_targets: {wrong} no linear layer.*down_proj.*all-linear"):
        load(models, lora_targets=targets)


def test_at_first_nothing_changes_and_with_the_matrices_off_nothing_ever_did(models):
    start = AutoModelForCausalLM.from_pretrained(models["qwen2", True], dtype=torch.float32)
    causal = load(models)
    with torch.no_grad():
        expected = start(IDS).logits
        assert torch.equal(causal(IDS).logits, expected)
        randomize(causal)
        assert not torch.allclose(causal(IDS).logits, expected, atol=1e-2)
        before = trained(causal)
        with without_adapters(causal):
            assert torch.equal(causal(IDS).logits, expected)
        assert trained(causal) == before
        assert not torch.allclose(causal(IDS).logits, expected, atol=1e-2)


def test_every_rank_draws_the_same_matrices_whatever_was_drawn_before(models):
    first = dict(load(models).named_parameters())
    torch.randn(7)
    state = torch.get_rng_state()
    second = dict(load(models).named_parameters())
    assert all(torch.equal(first[name], parameter) for name, parameter in second.items())
    assert torch.equal(torch.get_rng_state(), state)


def test_one_type_for_base_and_matrices(models):
    assert {parameter.dtype for parameter in load(models, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}


def test_the_matrices_are_decayed_as_matrices_and_nothing_else_is_trained(models):
    causal = load(models)
    (only,) = build_optimizer(causal, LearnerConfig(lora_rank=4, weight_decay=0.3)).param_groups
    assert only["weight_decay"] == 0.3
    assert len(only["params"]) == len(trained(causal)) == 2 * 7 * causal.config.num_hidden_layers


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_the_matrices_of_the_first_layer(models, checkpointing):
    causal = load(models).train()
    if checkpointing:
        causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    causal(IDS, labels=IDS, use_cache=False).loss.backward()
    first = causal.model.layers[0].self_attn.q_proj
    assert np.isfinite(first.lora_B["default"].weight.grad).all()
    assert first.lora_B["default"].weight.grad.abs().max() > 0
    assert first.base_layer.weight.grad is None
