import torch

from toolrl.algo.segments import Segments


def test_sums_means_and_spreading_by_hand():
    segments = Segments(torch.tensor([0, 0, 2, 2, 2]), torch.tensor([2.0, 0.0, 3.0]))  # the second completion has no trained token
    x = torch.tensor([1.0, 5.0, 2.0, 3.0, 4.0])
    assert segments.sums(x).tolist() == [6.0, 0.0, 9.0]
    assert segments.means(x).tolist() == [3.0, 0.0, 3.0]
    assert segments.spread(torch.tensor([7.0, 8.0, 9.0])).tolist() == [7.0, 7.0, 9.0, 9.0, 9.0]


def test_the_gradient_flows_through_all_three():
    segments = Segments(torch.tensor([0, 0, 2]), torch.tensor([2.0, 0.0, 1.0]))
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    segments.spread(segments.means(x) * torch.tensor([10.0, 1.0, 1.0])).sum().backward()
    # each token of the first: half of 10, at two tokens; the last: 1
    assert x.grad.tolist() == [10.0, 10.0, 1.0]


def test_a_micro_batch_without_tokens_has_sums_of_zero():
    segments = Segments(torch.zeros(0, dtype=torch.int64), torch.zeros(2))
    assert segments.sums(torch.zeros(0)).tolist() == segments.means(torch.zeros(0)).tolist() == [0.0, 0.0]
    assert segments.spread(torch.ones(2)).tolist() == []
