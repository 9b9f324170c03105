import torch

from toolrl.algo.cross_entropy import cross_entropy


def test_it_is_minus_the_log_probability():
    assert cross_entropy(torch.tensor([-1.5, -0.25])).tolist() == [1.5, 0.25]


def test_it_is_that_of_torch():
    logits, labels = torch.randn(7, 11), torch.randint(0, 11, (7,))
    logp = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(cross_entropy(logp), torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
