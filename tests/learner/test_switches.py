"""Every switch of the machine against a plain loop: one process, one sequence at a time, full logits, torch's own AdamW."""

import shutil

import numpy as np
import pytest
import torch

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import Demonstration, shard_demonstrations

pytestmark = pytest.mark.stack
LR = 1e-3
ROWS = [Demonstration(np.arange(3 + 2 * n, 3 + 3 * n, dtype=np.int32) % 97, prompt) for n, prompt in ((9, 2), (31, 12), (7, 3), (18, 17))]
SEQUENCES = [row.token_ids for row in ROWS]
STEPS = 3


def settings(**changes):
    return LearnerConfig(lr=LR, weight_decay=0.1, clip_grad_norm=0.5, **changes)


class PlainLoop:
    """Cross-entropy on what follows each prompt, as one would write it on a page."""

    def __init__(self, model):
        self.model = model
        trained = [p for p in model.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim == 2], "weight_decay": 0.1},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=LR)

    def step(self):
        """Take a step; return the gradients before clipping, by name."""
        losses = torch.cat([-self.model.logp(row.token_ids)[row.prompt_tokens - 1 :] for row in ROWS])
        self.optimizer.zero_grad()
        losses.mean().backward()
        named = {name: p for name, p in self.model.model.named_parameters() if p.requires_grad}
        gradients = {name: p.grad.numpy().copy() for name, p in named.items()}
        torch.nn.utils.clip_grad_norm_(named.values(), 0.5)
        self.optimizer.step()
        return gradients

    def weights(self):
        return {name: p.detach().numpy() for name, p in self.model.model.named_parameters()}


def sft(ranks, steps=STEPS):
    """Take optimizer steps; return the gradients of each, and their norm as reported."""
    shards = shard_demonstrations(ROWS, num_ranks=ranks.num, max_tokens=40)
    found = []
    for _ in range(steps):
        report, (gradients,) = ranks.each("step_with_gradients", [(shard,) for shard in shards], of="sft_step")[0]
        found.append((gradients, report["learner/grad_norm"]))
    return found


def distance(got, want):
    """Error of all tensors together, relative to their norm."""
    assert got.keys() == want.keys()
    return norm({name: got[name] - want[name] for name in want}) / norm(want)


def norm(tensors):
    return sum(float((tensor.astype(np.float64) ** 2).sum()) for tensor in tensors.values()) ** 0.5


def check_training(ranks, loop, *, gradients_on_host=False):
    """Train both alike: the gradients of every step are equal. On the host DeepSpeed has them only while it steps: then their norms are."""
    for gradients, total in sft(ranks):
        expected = loop.step()
        assert total == pytest.approx(norm(expected), rel=1e-5)
        assert gradients_on_host or distance(gradients, expected) <= 1e-5


COMPILED = pytest.mark.skipif(not shutil.which("c++"), reason="the optimizer of host memory needs a C++ compiler")
HOST = {"offload_optimizer": True, "offload_parameters": True, "offload_reference": True}


@pytest.mark.parametrize(
    ("switches", "checkpointing"),
    [
        ({}, True),
        ({"hpz_ranks": 2, "persistent_elements": 0}, False),
        ({"prefetch_elements": 5_000, "persistent_elements": 100}, False),
        ({"offload_parameters": True, "persistent_elements": 0}, False),
        pytest.param(HOST, True, marks=COMPILED),
    ],
    ids=["gradient checkpointing", "hpZ", "prefetch by hand", "parameters on the host", "everything on the host"],
)
def test_a_switch_changes_where_things_lie_and_nothing_that_is_learned(two_ranks, models, plain, switches, checkpointing):
    path = models["qwen2", True]
    model = ModelConfig(path=path, dtype="float32", gradient_checkpointing=checkpointing)
    two_ranks.make(model, settings(**switches), algo=AlgoConfig(kl_coef=0.1))
    loop = PlainLoop(plain(path))
    check_training(two_ranks, loop, gradients_on_host="offload_optimizer" in switches)
    assert distance(two_ranks.weights(), loop.weights()) <= 1e-5
    check_reference(two_ranks, plain(path))


def check_reference(ranks, start):
    """After training, the reference still is the start checkpoint, on every rank."""
    for temperature in (1.0, 0.7):
        for found in ranks.each("reference_logprobs", [(SEQUENCES, temperature)] * ranks.num):
            for ids, logp in zip(SEQUENCES, found, strict=True):
                np.testing.assert_allclose(logp, start.logp(ids, temperature).detach().numpy(), atol=1e-5, rtol=0)


def test_without_a_penalty_there_is_no_reference(two_ranks, models):
    two_ranks.make(ModelConfig(path=models["qwen2", True], dtype="float32"), settings())
    assert two_ranks.call("__getattribute__", "_reference") == [None, None]


LORA = {"lora_rank": 4, "lora_alpha": 6.0}


def plain_lora(model, matrices, targets="all-linear"):
    """Give a plain model peft's LoRA with these matrices."""
    from peft import LoraConfig, get_peft_model

    model.model = get_peft_model(model.model, LoraConfig(r=4, lora_alpha=6.0, target_modules=targets)).get_base_model()
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.from_numpy(matrices[name]))
    return model


def merged(model):
    """Merge LoRA's matrices as they are defined: W + alpha / r · B A."""
    tensors = {name: p.detach().numpy() for name, p in model.model.named_parameters()}
    out = {name.replace(".base_layer", ""): tensor for name, tensor in tensors.items() if "lora_" not in name}
    for name, down in tensors.items():
        if "lora_A" in name:
            up = tensors[name.replace("lora_A", "lora_B")]
            out[name.replace("lora_A.default.", "")] = tensors[name.replace("lora_A.default", "base_layer")] + 6.0 / 4 * up @ down
    return out


@pytest.mark.parametrize(
    ("tied", "targets", "checkpointing", "persistent"), [(True, "all-linear", True, 0), (False, "q_proj,down_proj", False, 2**18)]
)
def test_lora_trains_as_plain_peft_does_and_leaves_the_base_alone(two_ranks, models, plain, tied, targets, checkpointing, persistent):
    path = models["qwen2", tied]
    model = ModelConfig(path=path, dtype="float32", gradient_checkpointing=checkpointing)
    switches = LORA | {"lora_targets": targets, "persistent_elements": persistent}
    two_ranks.make(model, settings(**switches), algo=AlgoConfig(kl_coef=0.1), seed=3)
    start = two_ranks.each("parameters", [()] * 2)[0]
    names = targets if targets == "all-linear" else targets.split(",")
    loop = PlainLoop(plain_lora(plain(path), start, names))
    check_training(two_ranks, loop)
    now = two_ranks.each("parameters", [()] * 2)[0]
    matrices = {name for name in start if "lora_" in name}
    assert all(np.array_equal(now[name], start[name]) for name in start.keys() - matrices)
    assert all(not np.array_equal(now[name], start[name]) for name in matrices)
    assert distance({name: now[name] for name in matrices}, {n: t for n, t in loop.weights().items() if n in matrices}) <= 1e-5
    assert distance(two_ranks.weights(), merged(loop.model)) <= 1e-5
    check_reference(two_ranks, plain(path))


def test_lora_in_bfloat16_learns_and_leaves_the_base_alone(two_ranks, models):
    model = ModelConfig(path=models["qwen2", False], dtype="bfloat16")
    two_ranks.make(model, LearnerConfig(lr=1e-2, **LORA), seed=3)
    start = two_ranks.each("parameters", [()] * 2)[0]
    shards = shard_demonstrations(ROWS, num_ranks=2, max_tokens=40)
    losses = [two_ranks.each("call", [("sft_step", shard) for shard in shards])[0]["learner/loss"] for _ in range(12)]
    assert losses[-1] < losses[0] - 0.1
    now = two_ranks.each("parameters", [()] * 2)[0]
    assert {name for name in start if not np.array_equal(now[name], start[name])} == {name for name in start if "lora_" in name}


def resume(ranks, model, switches, folder):
    """Train, save, train on; and train on from what was saved. Return (gradients, weights) of both ways."""
    ranks.make(model, settings(**switches), seed=3)
    sft(ranks, 2)
    ranks.call("save", folder)
    went_on = sft(ranks, 1)[0][0], ranks.weights()
    ranks.make(model, settings(**switches), seed=4)
    ranks.call("load", folder)
    return went_on, (sft(ranks, 1)[0][0], ranks.weights())


def test_a_lora_checkpoint_holds_the_matrices_alone_and_continues_bit_for_bit(two_ranks, models, tmp_path):
    for went_on, resumed in zip(*resume(two_ranks, ModelConfig(path=models["qwen2", True], dtype="float32"), LORA, tmp_path), strict=True):
        assert all(np.array_equal(went_on[name], resumed[name]) for name in went_on)
    parameters = two_ranks.each("parameters", [()] * 2)[0]
    frozen = sum(tensor.nbytes for name, tensor in parameters.items() if "lora_" not in name)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.pt")) < frozen


@COMPILED
def test_a_checkpoint_of_an_optimizer_on_the_host_continues_to_rounding(two_ranks, models, tmp_path):
    went_on, resumed = resume(two_ranks, ModelConfig(path=models["qwen2", True], dtype="float32"), HOST, tmp_path)
    assert distance(went_on[1], resumed[1]) <= 1e-6  # DeepSpeed takes beta to the power of the step where it multiplied step by step


@pytest.mark.parametrize("lora", [{}, LORA], ids=["every weight", "LoRA"])
def test_states_that_leave_the_device_come_back_bit_for_bit(two_ranks, models, lora):
    model = ModelConfig(path=models["qwen2", False], dtype="float32")
    found = []
    for leaves in (False, True):
        two_ranks.make(model, settings(**lora), algo=AlgoConfig(kl_coef=0.1), seed=3)
        sft(two_ranks, 2)
        if leaves:
            before = two_ranks.each("storage_bytes", [()] * 2)
            assert all(min(held[: 2 if lora else 3]) > 0 and parked == 0 for held, parked in before)
            two_ranks.each("call", [("offload",)] * 2, parameters=False)
            probe = two_ranks.call("logprobs", SEQUENCES, 1.0)  # the model can still compute
            for (held, parked), (whole, _) in zip(two_ranks.each("storage_bytes", [()] * 2), before, strict=True):
                assert held == [whole[0], 0, 0]
                assert parked > 0
            two_ranks.each("call", [("offload",)] * 2, parameters=True)
            assert [held for held, _ in two_ranks.each("storage_bytes", [()] * 2)] == [[0, 0, 0]] * 2
            two_ranks.call("onload")
            assert two_ranks.each("storage_bytes", [()] * 2) == before
            for first, second in zip(probe[0], two_ranks.call("logprobs", SEQUENCES, 1.0)[0], strict=True):
                assert np.array_equal(first, second)
        found.append([*(gradients for gradients, _ in sft(two_ranks, 2)), two_ranks.weights()])
    for stayed, left in zip(*found, strict=True):
        assert all(np.array_equal(stayed[name], left[name]) for name in stayed)
