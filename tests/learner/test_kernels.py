import pytest
import torch
from transformers import AutoModelForCausalLM

from toolrl.learner.kernels import fuse_kernels


@pytest.fixture
def model(models):
    return AutoModelForCausalLM.from_pretrained(models["qwen2", False], dtype=torch.float32)


def test_on_cpu_the_model_stays_as_it_is(model):
    assert not fuse_kernels(model, "cpu")
    assert "forward" not in vars(model.model.norm)


def test_norms_and_mlps_get_ligers_kernels_and_the_head_does_not(model, monkeypatch):
    """Patches are looked at, not run: the kernels need a GPU."""
    rms_norm = pytest.importorskip("liger_kernel.transformers", reason="liger-kernel is for GPU machines").LigerRMSNorm
    from transformers.models.qwen2 import modeling_qwen2

    for name in ("apply_rotary_pos_emb", "Qwen2RMSNorm", "Qwen2MLP"):  # put back what Liger replaces in the module
        monkeypatch.setattr(modeling_qwen2, name, getattr(modeling_qwen2, name))
    before = [id(parameter) for parameter in model.parameters()]
    assert fuse_kernels(model, "cuda")
    patched = {name for name, module in model.named_modules() if "forward" in vars(module)}
    parts = ("input_layernorm", "post_attention_layernorm", "mlp")
    assert patched == {"model.norm"} | {f"model.layers.{i}.{part}" for i in range(2) for part in parts}
    assert model.model.norm.forward.__func__ is rms_norm.forward
    assert modeling_qwen2.apply_rotary_pos_emb.__module__ == "liger_kernel.transformers.rope"
    assert [id(parameter) for parameter in model.parameters()] == before


def test_an_architecture_that_liger_does_not_know_is_left_alone(model):
    pytest.importorskip("liger_kernel.transformers", reason="liger-kernel is for GPU machines")
    model.config.model_type = "unheard of"
    assert not fuse_kernels(model, "cuda")
