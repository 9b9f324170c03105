"""Parameters are counted as Transformers makes them, of every architecture and every shipped size."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from toolrl.config.learning import LearnerConfig
from toolrl.errors import UserError
from toolrl.learner.lora import add_adapters
from toolrl.plan.shapes import read_shape, shape_of, shipped_shapes

PUBLISHED = {  # parameters that the hub counts in the safetensors of each model
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen2.5-1.5B": 1_543_714_304,
    "Qwen2.5-3B": 3_085_938_688,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen2.5-14B": 14_770_033_664,
    "Qwen2.5-32B": 32_763_876_352,
    "Qwen2.5-72B": 72_706_203_648,
}
TINY = {
    "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 500, "head_dim": 32,
}  # fmt: skip
KINDS = {
    "qwen2": Qwen2Config(**TINY, tie_word_embeddings=True),
    "qwen2 untied": Qwen2Config(**TINY, tie_word_embeddings=False),
    "qwen3": Qwen3Config(**TINY, tie_word_embeddings=False),
    "llama": LlamaConfig(**TINY, tie_word_embeddings=False),
    "llama with biases": LlamaConfig(**TINY, tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
    "mistral": MistralConfig(**TINY, tie_word_embeddings=False),
}


def on_meta(config):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def test_every_published_size_has_its_published_number_of_parameters():
    assert {name: shape_of(f"Qwen/{name}-Instruct").parameters for name in shipped_shapes()} == PUBLISHED


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_transformers_own_modules(kind):
    config = KINDS[kind]
    shape, model = read_shape(config.to_dict(), "m"), on_meta(config)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.layer == sum(p.numel() for p in model.model.layers[0].parameters())
    sizes = sorted(p.numel() for p in model.parameters())
    assert sizes == sorted(size for size, count in shape.sizes for _ in range(count))


def test_a_shipped_shape_is_that_of_its_modules():
    shape = shape_of("Qwen/Qwen2.5-0.5B")
    config = Qwen2Config(
        hidden_size=shape.hidden, intermediate_size=shape.intermediate, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied,
    )  # fmt: skip
    assert shape.parameters == sum(p.numel() for p in on_meta(config).parameters())


@pytest.mark.parametrize("targets", ["all-linear", "q_proj, v_proj"])
def test_loras_matrices_are_those_of_peft(targets):
    model = AutoModelForCausalLM.from_config(KINDS["qwen2"])
    add_adapters(model, LearnerConfig(lora_rank=5, lora_targets=targets), seed=0)
    counted = read_shape(KINDS["qwen2"].to_dict(), "m").lora(5, targets)
    made = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(size for size, count in counted for _ in range(count)) == sorted(made)


def test_the_config_of_a_folder_is_read(tmp_path):
    KINDS["llama"].save_pretrained(tmp_path)
    shape = shape_of(str(tmp_path))
    assert (shape.name, shape.hidden, shape.kv_elements) == (tmp_path.name, 64, 2 * 3 * 64)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-Coder-7B-Instruct", "Qwen2.5-Math-7B", "/models/Qwen2.5-7B-Instruct"])
def test_variants_have_the_shape_of_their_base(name):
    assert shape_of(name).parameters == PUBLISHED["Qwen2.5-7B"]


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-8B", "nobody/nothing"])
def test_another_model_is_refused_and_told_what_there_is(name):
    with pytest.raises(UserError, match=r"no folder of a model, not in the cache of the hub, .* Qwen2\.5-0\.5B, Qwen2\.5-1\.5B"):
        shape_of(name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "mixtral"}, "model_type 'mixtral' is not one the planner can count; it knows qwen2"),
        ({"hidden_size": None}, "hidden_size of its config.json is None; expected a whole number above 0"),
        ({"vocab_size": -3}, "vocab_size of its config.json is -3"),
    ],
)
def test_a_config_that_cannot_be_is_refused(tmp_path, change, told):
    (tmp_path / "config.json").write_text(json.dumps(KINDS["qwen2"].to_dict() | change))
    with pytest.raises(UserError, match=told):
        shape_of(str(tmp_path))
