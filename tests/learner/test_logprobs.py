import pytest
import torch

from toolrl.learner import logprobs
from toolrl.learner.logprobs import TokenLogprobs

N, H, V = 37, 8, 29


def plain(hidden, weight, labels, temperature):
    log_all = torch.log_softmax(hidden @ weight.T / temperature, dim=1)
    return log_all.gather(1, labels[:, None])[:, 0], -(log_all.exp() * log_all).sum(1)


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    hidden = torch.randn(N, H, requires_grad=True)
    return hidden, torch.nn.Parameter(torch.randn(V, H)), torch.randint(V, (N,))


@pytest.mark.parametrize("chunk_tokens", [1, 5, 37, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize(("logp_weight", "entropy_weight"), [(1.0, 0.0), (1.0, 0.3), (0.0, 1.0)])
def test_values_and_gradients_in_chunks_are_those_of_the_full_logits(
    inputs, monkeypatch, chunk_tokens, temperature, logp_weight, entropy_weight
):
    monkeypatch.setitem(logprobs.CHUNK_ELEMENTS, "cpu", chunk_tokens * V)
    hidden, weight, labels = inputs
    scale = torch.randn(N)

    def run(function):
        logp, entropy = function(hidden, labels, temperature)
        loss = sum(w * (x * scale).sum() for w, x in ((logp_weight, logp), (entropy_weight, entropy)) if w)
        return logp.detach(), entropy.detach(), *torch.autograd.grad(loss, (hidden, weight))

    expected = run(lambda h, lab, t: plain(h, weight, lab, t))
    for got, want in zip(run(TokenLogprobs(weight)), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=2e-6, atol=5e-6)


def test_without_trained_tokens_every_parameter_still_gets_a_gradient_of_zero(inputs):
    hidden, weight, labels = inputs
    logp, _ = TokenLogprobs(weight)(hidden[:0], labels[:0], 1.0)
    hidden_grad, weight_grad = torch.autograd.grad(logp.sum(), (hidden, weight))
    assert not hidden_grad.any()
    assert not weight_grad.any()


def test_extreme_logits_stay_finite(inputs):
    hidden, weight, labels = inputs
    logp, entropy = TokenLogprobs(weight)(hidden * 1e4, labels, 1.0)
    assert logp.isfinite().all()
    assert entropy.isfinite().all()
    assert (entropy >= 0).all()


def test_the_full_logits_never_exist(inputs, monkeypatch):
    monkeypatch.setitem(logprobs.CHUNK_ELEMENTS, "cpu", 4 * V)
    hidden, weight, labels = inputs
    rows = []
    make = logprobs._distribution
    monkeypatch.setattr(logprobs, "_distribution", lambda *args: rows.append(len(args[0])) or make(*args))
    logp, _ = TokenLogprobs(weight)(hidden, labels, 1.0)
    logp.sum().backward()
    assert max(rows) == 4
    assert sum(rows) == 2 * N


def test_a_micro_batch_of_one_chunk_makes_its_logits_once(inputs, monkeypatch):
    hidden, weight, labels = inputs
    rows = []
    make = logprobs._distribution
    monkeypatch.setattr(logprobs, "_distribution", lambda *args: rows.append(len(args[0])) or make(*args))
    logp, _ = TokenLogprobs(weight)(hidden, labels, 1.0)
    logp.sum().backward()
    assert rows == [N]
