"""What a model with LoRA hands over, against peft's own merge."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from toolrl.testing.demo_model import tiny_model
from toolrl.weights.merged import ADAPTER, checkpoint_weights


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def start(request, tmp_path):
    """A folder of a tiny model."""
    tiny_model(tmp_path, tied=request.param, architecture="qwen2")
    return tmp_path


def load(start):
    return AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)


def with_lora(model):
    """Wrap `model` in LoRA whose matrices are random."""
    wrapped = get_peft_model(model, LoraConfig(r=3, lora_alpha=7, target_modules="all-linear"), ADAPTER)
    torch.manual_seed(0)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return wrapped


def test_a_model_without_lora_is_its_own_parameters_under_each_of_their_names(start):
    model = load(start)
    found = checkpoint_weights(model)
    assert [(w.name, w.update) for w in found] == [(name, None) for name, _ in model.named_parameters(remove_duplicate=False)]
    assert all(torch.equal(w.value(torch.float32), model.get_parameter(w.name)) for w in found)


def test_with_lora_names_shapes_and_order_are_those_of_the_start_checkpoint(start):
    expected = [(name, parameter.shape) for name, parameter in load(start).named_parameters(remove_duplicate=False)]
    assert [(w.name, w.base.shape) for w in checkpoint_weights(with_lora(load(start)).get_base_model())] == expected


def test_the_values_are_pefts_own_merge(start):
    wrapped = with_lora(load(start))
    found = {w.name: w.value(torch.float32) for w in checkpoint_weights(wrapped.get_base_model())}
    merged = dict(wrapped.merge_and_unload().named_parameters(remove_duplicate=False))
    assert found.keys() == merged.keys()
    for name, tensor in merged.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-6)
    changed = [name for name, tensor in load(start).named_parameters() if not torch.allclose(found[name], tensor, atol=1e-3)]
    assert {name.rsplit(".", 2)[1] for name in changed} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert not [name for name in changed if name.endswith("bias")]


def test_the_sum_is_made_in_float32_and_cast_once():
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False, dtype=torch.bfloat16))
    wrapped = with_lora(layer)
    (weight,) = checkpoint_weights(wrapped.get_base_model())
    base, update = weight.base.double(), weight.update
    exact = base + update.scale * update.up.double() @ update.down.double()
    assert torch.equal(weight.value(torch.bfloat16), exact.to(torch.bfloat16))
    assert update.scale == 7 / 3


def test_what_is_handed_over_is_a_copy():
    layer = torch.nn.Linear(2, 2)
    values = [w.value(torch.float32) for w in checkpoint_weights(layer)]
    assert not {v.data_ptr() for v in values} & {p.data_ptr() for p in layer.parameters()}
