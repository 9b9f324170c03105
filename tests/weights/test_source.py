"""The learner's weights as they are sent: of plain modules, and of a ZeRO-3 group of two ranks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

pytestmark = pytest.mark.stack


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.norm = nn.LayerNorm(3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


@pytest.fixture
def source():
    """Make a source of a tied plain module: `source(bucket_bytes, …)`."""
    from toolrl.weights.source import Zero3Source

    module = Tied()
    return lambda *args, **kwargs: (module, Zero3Source(module, *args, **kwargs))


@pytest.mark.parametrize("bucket_bytes", [1, 64, 2**20])
def test_every_parameter_comes_under_each_of_its_names_however_it_is_cut(source, bucket_bytes):
    module, found = source(bucket_bytes)
    sent = dict(found)
    assert list(sent) == ["embed.weight", "norm.weight", "norm.bias", "head.weight"]
    assert all(torch.equal(tensor, module.get_parameter(name)) for name, tensor in sent.items())
    assert [(m.name, tuple(m.shape)) for m in found.metadata()] == [(name, tuple(t.shape)) for name, t in sent.items()]


def test_what_is_sent_is_a_copy(source):
    module, found = source(2**20)
    sent = dict(found)
    with torch.no_grad():
        module.norm.weight.fill_(7.0)
    assert sent["norm.weight"].tolist() == [1.0, 1.0, 1.0]
    assert dict(found)["norm.weight"].tolist() == [7.0, 7.0, 7.0]


def test_the_type_on_the_wire_is_the_engines(source):
    _, found = source(2**20, torch.bfloat16)
    assert {tensor.dtype for _, tensor in found} == {torch.bfloat16}
    assert {meta.dtype for meta in found.metadata()} == {torch.bfloat16}


def test_a_manifest_holds_the_values_of_the_last_iteration(source):
    module, found = source(2**20)
    dict(found)
    before = found.manifest(found.metadata())
    assert (before.count, before.num_bytes) == (4, 4 * (15 + 3 + 3 + 15))
    with torch.no_grad():
        module.norm.bias[1] = 0.5
    dict(found)
    after = found.manifest(found.metadata())
    assert [a.name for a, b in zip(after.tensors, before.tensors, strict=True) if a != b] == ["norm.bias"]


def test_a_rank_that_does_not_send_keeps_nothing(source):
    _, found = source(2**20, sender=False)
    assert all(tensor.numel() == 0 for _, tensor in found)
    assert found.manifest(found.metadata()).count == 0


@pytest.fixture(scope="module")
def zero3(tmp_path_factory, tiny_models):
    """What two ranks wrote: (tied, rank) -> results; with LoRA (tied, rank-lora)."""
    out = tmp_path_factory.mktemp("zero3")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    program = str(Path(__file__).with_name("zero3_rank.py"))
    env = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "VLLM_LOGGING_LEVEL": "ERROR"}
    command = [str(out), *map(str, tiny_models.values())]
    ranks = [subprocess.Popen([sys.executable, program, str(rank), "2", port, *command], env=env) for rank in (0, 1)]
    try:
        assert [rank.wait(240) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    ways = [(kind, rank) for kind in ("", "-lora") for rank in (0, 1)]
    return {
        (tied, f"{rank}{kind}"): torch.load(out / f"{path.name}{kind}-{rank}.pt")
        for tied, path in tiny_models.items()
        for kind, rank in ways
    }


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
class TestZero3:
    def test_the_model_was_sharded(self, zero3, tied):
        assert zero3[tied, "0"]["held"] == 0

    def test_the_first_gather_before_any_forward_is_the_checkpoint(self, zero3, tied, tiny_models):
        model = AutoModelForCausalLM.from_pretrained(tiny_models[tied], dtype=torch.float32)
        expected = dict(model.named_parameters(remove_duplicate=False))
        found = zero3[tied, "0"]["before_any_forward"]
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], parameter) for name, parameter in expected.items())

    def test_shapes_are_known_without_a_gather_on_every_rank(self, zero3, tied):
        expected = {name: tuple(tensor.shape) for name, tensor in zero3[tied, "0"]["before_any_forward"].items()}
        assert zero3[tied, "0"]["shapes"] == zero3[tied, "1"]["shapes"] == expected

    def test_after_a_step_the_new_weights_are_gathered(self, zero3, tied):
        found, truth = zero3[tied, "0"]["after_a_step"], zero3[tied, "0"]["truth"]
        assert all(torch.equal(found[name], tensor) for name, tensor in truth.items())
        assert not torch.equal(found["lm_head.weight"], zero3[tied, "0"]["before_any_forward"]["lm_head.weight"])

    def test_an_engine_receives_them_all_bit_for_bit(self, zero3, tied):
        sent, received = zero3[tied, "0"]["after_a_step"], zero3[tied, "0"]["received"]
        assert list(received) == list(sent)
        assert all(torch.equal(received[name], tensor) for name, tensor in sent.items())
        assert set(zero3[tied, "0"]["manifest"]) == set(sent)

    def test_the_other_rank_took_part_and_sent_nothing(self, zero3, tied):
        assert zero3[tied, "1"]["received"] == {}
        assert zero3[tied, "1"]["manifest"] == {}
        assert all(tensor.numel() == 0 for tensor in zero3[tied, "1"]["after_a_step"].values())

    def test_with_lora_an_engine_receives_the_merged_weights_under_the_names_it_knows(self, zero3, tied, tiny_models):
        model = AutoModelForCausalLM.from_pretrained(tiny_models[tied], dtype=torch.float32)
        start = dict(model.named_parameters(remove_duplicate=False))
        received, truth = zero3[tied, "0-lora"]["received"], zero3[tied, "0-lora"]["truth"]
        assert list(received) == list(start)
        assert zero3[tied, "0-lora"]["shapes"] == {name: tuple(tensor.shape) for name, tensor in start.items()}
        changed = set()
        for name, tensor in start.items():
            layer = name.removesuffix(".weight")
            expected = tensor.detach()
            if f"{layer}.lora_A.default.weight" in truth:
                changed.add(name)
                expected = expected + 3 / 2 * truth[f"{layer}.lora_B.default.weight"] @ truth[f"{layer}.lora_A.default.weight"]
            torch.testing.assert_close(received[name], expected, atol=1e-6, rtol=1e-6)
            assert torch.equal(received[name], tensor) == (name not in changed)
        assert len(changed) == 7 * model.config.num_hidden_layers
        assert set(zero3[tied, "0-lora"]["manifest"]) == set(start)
        assert zero3[tied, "1-lora"]["received"] == {}
