import math
import os

import pytest
import torch

from toolrl.config.learning import LearnerConfig
from toolrl.errors import UserError
from toolrl.learner.optimizer import build_optimizer, build_schedule, orthogonalize, schedule_factor


class Model(torch.nn.Module):
    """Named as a causal model is: embedding, head, hidden matrices, a norm."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = torch.nn.Embedding(11, 6), torch.nn.Linear(6, 11, bias=False)
        self.wide, self.tall, self.twin = torch.nn.Linear(9, 6), torch.nn.Linear(6, 9), torch.nn.Linear(9, 6)
        self.norm = torch.nn.LayerNorm(6)

    def get_input_embeddings(self):
        return self.embed

    def get_output_embeddings(self):
        return self.head


def names(model, group):
    return {name for name, parameter in model.named_parameters() if any(parameter is p for p in group["params"])}


def test_norms_and_biases_are_not_decayed():
    model = Model()
    decayed, plain = build_optimizer(model, LearnerConfig(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert names(model, decayed) == {"embed.weight", "head.weight", "wide.weight", "tall.weight", "twin.weight"}
    assert names(model, plain) == {"norm.weight", "norm.bias", "wide.bias", "tall.bias", "twin.bias"}


def test_what_is_frozen_is_left_to_no_optimizer():
    model = Model()
    model.requires_grad_(False)
    model.wide.weight.requires_grad_(True)
    (only,) = build_optimizer(model, LearnerConfig()).param_groups
    assert names(model, only) == {"wide.weight"}


def test_a_machine_that_cannot_compile_the_host_optimizer_is_told_what_to_install_or_to_set(monkeypatch):
    from deepspeed.ops.op_builder import CPUAdamBuilder

    def refuse(*_):
        raise RuntimeError("Error building extension 'cpu_adam'\na hundred lines of the compiler")

    monkeypatch.setattr(CPUAdamBuilder, "load", refuse)
    for path, reason in (("/nowhere", r"there is no c\+\+"), (os.environ["PATH"], "Error building extension 'cpu_adam'")):
        monkeypatch.setenv("PATH", path)
        with pytest.raises(
            UserError, match=rf"^learner\.offload_optimizer: .*{reason}; install .*g\+\+.*learner\.offload_optimizer=false$"
        ):
            build_optimizer(Model(), LearnerConfig(offload_optimizer=True))


def test_muon_takes_the_hidden_matrices_grouped_by_shape_and_nothing_else():
    model = Model()
    groups = build_optimizer(model, LearnerConfig(optimizer="muon", muon_lr=0.07, lr=1e-3)).param_groups
    by_shape = {group["matrix"]: (names(model, group), group["lr"]) for group in groups if group["matrix"]}
    assert by_shape == {(6, 9): ({"wide.weight", "twin.weight"}, 0.07), (9, 6): ({"tall.weight"}, 0.07)}
    assert names(model, groups[0]) == {"embed.weight", "head.weight"}


@pytest.mark.parametrize("shape", [(3, 20, 8), (2, 8, 20), (1, 16, 16)])
def test_orthogonalizing_keeps_the_singular_vectors_and_brings_the_values_near_one(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    done = orthogonalize(matrices)
    values = torch.linalg.svdvals(done)
    assert values.min() > 0.3
    assert values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    core = u.mT @ done @ vh.mT
    assert torch.allclose(core, torch.diag_embed(core.diagonal(dim1=1, dim2=2)), atol=1e-4)


def flat_groups(model, settings):
    """Lay the parameters of each group one behind the other, as ZeRO-3 does at one rank."""
    optimizer = build_optimizer(model, settings)
    flats = []
    for group in optimizer.param_groups:
        flats.append((group["params"], torch.nn.Parameter(torch.cat([p.detach().flatten() for p in group["params"]]))))
        group["params"] = [flats[-1][1]]
    return optimizer, flats


def test_muon_over_flat_shards_is_torchs_muon_over_matrices_beside_torchs_adamw():
    settings = LearnerConfig(optimizer="muon", lr=1e-2, muon_lr=0.05, weight_decay=0.1)
    model, twin = Model(), Model()
    optimizer, flats = flat_groups(model, settings)
    hidden = [twin.wide.weight, twin.tall.weight, twin.twin.weight]
    rest = [twin.embed.weight, twin.head.weight]
    plain = [p for p in twin.parameters() if p.ndim < 2]
    muon = torch.optim.Muon(hidden, lr=0.05, weight_decay=0.1)
    adamw = torch.optim.AdamW([{"params": rest, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.999))
    for step in range(4):
        torch.manual_seed(step)
        gradients = {name: torch.randn_like(p) for name, p in twin.named_parameters()}
        for name, p in twin.named_parameters():
            p.grad = gradients[name].clone()
        named = {id(p): name for name, p in model.named_parameters()}
        for parts, flat in flats:
            flat.grad = torch.cat([gradients[named[id(p)]].flatten() for p in parts])
        optimizer.step()
        muon.step()
        adamw.step()
    for parts, flat in flats:
        pieces = torch.split(flat.detach(), [p.numel() for p in parts])
        for part, piece in zip(parts, pieces, strict=True):
            want = dict(twin.named_parameters())[named[id(part)]].detach()
            hidden_matrix = any(part is p for p in (model.wide.weight, model.tall.weight, model.twin.weight))
            # torch's Muon iterates in bfloat16
            torch.testing.assert_close(piece.view_as(want), want, atol=3e-3 if hidden_matrix else 1e-6, rtol=0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [1 / 3, 2 / 3, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    factor = schedule_factor(LearnerConfig(schedule=schedule, warmup_steps=2), total_steps=6)
    assert [factor(step) for step in range(7)] == pytest.approx(expected, abs=1e-12)


def test_a_warm_up_may_be_a_share_of_the_run():
    """A third of six steps are the two of the schedules above."""
    warmups = [{"warmup_share": 1 / 3}, {"warmup_steps": 2}]
    by_share, by_steps = (schedule_factor(LearnerConfig(schedule="cosine", **warmup), 6) for warmup in warmups)
    assert [by_share(step) for step in range(7)] == [by_steps(step) for step in range(7)]


def test_a_schedule_scales_the_rate_of_every_group_alike():
    optimizer = build_optimizer(Model(), LearnerConfig(optimizer="muon", lr=1.0, muon_lr=8.0))
    build_schedule(LearnerConfig(warmup_steps=3), total_steps=10)(optimizer)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [0.25, 2.0]
