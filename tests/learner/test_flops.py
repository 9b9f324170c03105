"""The arithmetic of a batch, by hand and beside what PyTorch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from toolrl.learner import flops
from toolrl.learner.collate import demonstration_tokens, policy_tokens
from toolrl.learner.flops import Shape, peak, utilisation
from toolrl.learner.packing import Demonstration, MicroBatch

SHAPE = Shape(weights=1000, head=500, layers=3, attention=16)


def causal(*, tied):
    config = Qwen2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        attn_implementation="eager",  # of which PyTorch counts every product
    )
    return Qwen2ForCausalLM(config)


def test_a_forward_pass_by_hand():
    # 2 · 1000 · 10 in the layers, 2 · 500 · 4 in the head, 4 · 3 · 16 · 55 in attention
    assert SHAPE.forward(tokens=10, trained=4, pairs=55) == 20_000 + 4_000 + 10_560


@pytest.mark.parametrize(
    ("share", "forwards", "times"),
    [(1.0, 0, 3), (1.0, 2, 5), (0.25, 0, 2.25)],  # forward and twice as much backward; old and reference passes; frozen weights
)
def test_a_batch_is_so_many_forward_passes(share, forwards, times):
    shape = Shape(1000, 500, 3, 16, trained_share=share)
    assert shape.batch({"real": 10, "tokens": 4, "pairs": 55}, forwards) == times * 34_560


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_has_its_head_whether_it_is_tied_or_not(tied):
    shape = Shape.of(causal(tied=tied))
    attention, mlp, norms = (16 * 16 + 16) + 2 * (16 * 8 + 8) + 16 * 16, 3 * 16 * 24, 2 * 16
    assert shape == Shape(weights=2 * (attention + mlp + norms) + 16, head=800, layers=2, attention=16)


def test_the_count_is_that_of_pytorch_but_for_norms_biases_and_half_of_the_pairs():
    model = causal(tied=False)
    ids = torch.arange(12)[None]
    with FlopCounterMode(display=False) as counter:
        model(ids, use_cache=False)
    shape = Shape.of(model)
    products = shape.weights - 2 * (2 * 16 + 16 + 2 * 8) - 16  # without norms and biases, which PyTorch does not count
    ours = Shape(products, shape.head, shape.layers, shape.attention).forward(tokens=12, trained=12, pairs=12 * 12)
    assert counter.get_total_flops() == ours


def test_pairs_are_those_that_attention_sees():
    rows = [Demonstration(torch.arange(4).numpy().astype("int32"), 1), Demonstration(torch.arange(3).numpy().astype("int32"), 1)]
    assert demonstration_tokens(rows, "cpu").num_pairs == (1 + 2 + 3 + 4) + (1 + 2 + 3)


def test_a_pass_without_rows_has_no_pairs():
    assert policy_tokens(MicroBatch(()), {}, "cpu").tokens.num_pairs == 0


def test_utilisation_is_of_one_accelerator():
    assert utilisation(8e12, 2.0, 4, None) == {"learner/flops_per_s": 1e12}
    assert utilisation(8e12, 2.0, 4, 4e12) == {"learner/flops_per_s": 1e12, "learner/mfu": 0.25}


@pytest.mark.parametrize(
    ("name", "dtype", "known"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312e12),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA H200", "bfloat16", 989e12),
        ("NVIDIA L40S", "bfloat16", 362e12),
        ("NVIDIA L4", "bfloat16", 121e12),
        ("NVIDIA H200", "float32", None),
        ("Quadro", "bfloat16", None),
    ],
)
def test_what_an_accelerator_can_do(monkeypatch, name, dtype, known):
    monkeypatch.setattr(flops.torch.cuda, "get_device_name", lambda: name)
    assert peak("cuda", dtype) == known
    assert peak("cpu", dtype) is None
