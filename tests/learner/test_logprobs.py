import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from toolrl.learner import logprobs
from toolrl.learner.logprobs import ALIGNMENT, TokenLogprobs

N, H, V = 37, 8, 4 * ALIGNMENT + 29
SLICES = [1, 2, 5]
"""Slices of the vocabulary; the last is shorter than the others."""


class LargestTensor(TorchDispatchMode):
    """The most elements of a tensor that an operation made, the head's gradient apart; and how many logits were made."""

    def __init__(self):
        super().__init__()
        self.elements = self.logits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.shape not in ((V, H), (H, V)):
                self.elements = max(self.elements, tensor.numel())
        if func is torch.ops.aten.mm.default and out.shape[0] == N:
            self.logits += out.numel()
        return out


def plain(hidden, weight, labels, temperature):
    log_all = torch.log_softmax(hidden @ weight.T / temperature, dim=1)
    return log_all.gather(1, labels[:, None])[:, 0], -(log_all.exp() * log_all).sum(1)


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    hidden = torch.randn(N, H, requires_grad=True)
    return hidden, torch.nn.Parameter(torch.randn(V, H)), torch.randint(V, (N,))


@pytest.fixture
def cut(monkeypatch):
    """Cut the vocabulary into so many slices."""

    def into(number):
        columns = {1: V, 2: 3 * ALIGNMENT, 5: ALIGNMENT}[number]
        monkeypatch.setitem(logprobs.SLICE_ELEMENTS, "cpu", max(columns, ALIGNMENT) * N if number > 1 else 2**21)

    return into


@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize(("logp_weight", "entropy_weight"), [(1.0, 0.0), (1.0, 0.3), (0.0, 1.0)])
def test_values_and_gradients_in_slices_are_those_of_the_full_logits(inputs, cut, slices, temperature, logp_weight, entropy_weight):
    cut(slices)
    hidden, weight, labels = inputs
    scale = torch.randn(N)

    def run(function):
        logp, entropy = function(hidden, labels, temperature)
        loss = sum(w * (x * scale).sum() for w, x in ((logp_weight, logp), (entropy_weight, entropy)) if w)
        return logp.detach(), entropy.detach(), *torch.autograd.grad(loss, (hidden, weight))

    expected = run(lambda h, lab, t: plain(h, weight, lab, t))
    for got, want in zip(run(TokenLogprobs(weight)), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=2e-6, atol=5e-6)


@pytest.mark.parametrize("slices", SLICES)
def test_a_bfloat16_head_computes_its_soft_max_in_float32(inputs, cut, slices):
    """The logits are rounded to bfloat16 as the engine's are; from there on nothing is, but the gradients' own type."""
    cut(slices)
    hidden, weight, labels = (x.detach().bfloat16() if x.is_floating_point() else x for x in inputs)
    logits = (hidden @ weight.T).float().requires_grad_()
    logp, entropy = plain(logits, torch.eye(V), labels, 0.7)
    ours, our_entropy = TokenLogprobs(torch.nn.Parameter(weight))(hidden.requires_grad_(), labels, 0.7)
    torch.testing.assert_close(ours, logp.detach(), rtol=2e-6, atol=5e-6)
    torch.testing.assert_close(our_entropy, entropy.detach(), rtol=2e-6, atol=5e-6)
    (logits_grad,) = torch.autograd.grad(logp.sum(), logits)
    (hidden_grad,) = torch.autograd.grad(ours.sum(), hidden)
    assert hidden_grad.dtype == torch.bfloat16
    error = hidden_grad.float() - logits_grad @ weight.float()
    assert error.norm() <= 2**-7 * hidden_grad.float().norm()  # bfloat16 keeps 8 bits: of the logits' gradient, and of the sum


def test_without_trained_tokens_every_parameter_still_gets_a_gradient_of_zero(inputs):
    hidden, weight, labels = inputs
    logp, _ = TokenLogprobs(weight)(hidden[:0], labels[:0], 1.0)
    hidden_grad, weight_grad = torch.autograd.grad(logp.sum(), (hidden, weight))
    assert not hidden_grad.any()
    assert not weight_grad.any()


@pytest.mark.parametrize("slices", SLICES)
def test_extreme_logits_stay_finite(inputs, cut, slices):
    cut(slices)
    hidden, weight, labels = inputs
    logp, entropy = TokenLogprobs(weight)(hidden * 1e4, labels, 1.0)
    assert logp.isfinite().all()
    assert entropy.isfinite().all()
    assert (entropy >= 0).all()
    assert torch.autograd.grad(logp.sum() + entropy.sum(), weight)[0].isfinite().all()


def test_a_frozen_head_has_no_gradient_made_for_it(inputs):
    hidden, weight, labels = inputs
    weight.requires_grad_(False)
    logp, _ = TokenLogprobs(weight)(hidden, labels, 1.0)
    with LargestTensor() as seen:
        (got,) = torch.autograd.grad(logp.sum(), hidden)
    assert seen.elements == N * V
    torch.testing.assert_close(got, torch.autograd.grad(plain(hidden, weight, labels, 1.0)[0].sum(), hidden)[0], rtol=2e-6, atol=5e-6)


@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
def test_no_tensor_is_larger_than_a_slice_of_the_logits_forward_or_backward(inputs, cut, entropy_weight):
    cut(5)
    hidden, weight, labels = inputs
    with LargestTensor() as seen:
        logp, entropy = TokenLogprobs(weight)(hidden, labels, 0.7)
        (logp.sum() + entropy_weight * entropy.sum()).backward()
    assert seen.elements == ALIGNMENT * N
    assert seen.logits == 2 * V * N  # made once in each direction


def test_a_micro_batch_of_one_slice_makes_its_logits_once(inputs):
    hidden, weight, labels = inputs
    with LargestTensor() as seen:
        logp, _ = TokenLogprobs(weight)(hidden, labels, 1.0)
        logp.sum().backward()
    assert seen.logits == V * N


def test_without_gradients_nothing_is_kept(inputs):
    hidden, weight, labels = inputs
    with torch.no_grad():
        logp, entropy = TokenLogprobs(weight)(hidden, labels, 1.0)
    assert not logp.requires_grad
    assert not entropy.requires_grad
