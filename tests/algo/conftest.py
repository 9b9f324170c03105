"""What the tests of losses share: a micro-batch of random tokens, and the slope of a function by autograd."""

from types import SimpleNamespace

import pytest
import torch

from toolrl.algo.segments import Segments


@pytest.fixture(scope="session")
def slope():
    """Derivative of each output by its own input, at `values`."""

    def of(function, *values):
        leaf = torch.tensor(values, dtype=torch.float64, requires_grad=True)
        function(leaf).sum().backward()
        return leaf.grad.tolist()

    return of


@pytest.fixture(scope="session")
def segments():
    """Segments of completions with so many trained tokens each."""

    def of(*lengths):
        index = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        return Segments(index, torch.tensor(lengths, dtype=torch.float64))

    return of


@pytest.fixture(scope="session")
def random_tokens(segments):
    """A micro-batch in float64: log-probabilities of all kinds, `spread` nats apart; one advantage for each completion."""

    def of(seed, lengths=(3, 1, 5, 2), spread=0.5):
        draw = torch.Generator().manual_seed(seed)
        n = sum(lengths)

        def near(x):
            return x + spread * torch.randn(n, generator=draw, dtype=torch.float64)

        old = -3 * torch.rand(n, generator=draw, dtype=torch.float64) - 0.1
        where = segments(*lengths)
        advantage = torch.randn(len(lengths), generator=draw, dtype=torch.float64)
        return SimpleNamespace(
            logp=near(old).requires_grad_(),
            entropy=torch.rand(n, generator=draw, dtype=torch.float64).requires_grad_(),
            old_logp=old,
            engine_logp=near(old),
            reference_logp=near(old),
            advantage=where.spread(advantage),
            segments=where,
        )

    return of
