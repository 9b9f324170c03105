import pytest
import torch

from toolrl.algo.importance.geometric import geometric


def test_it_is_the_geometric_mean_of_the_completions_ratios_truncated_at_the_cap(segments):
    # sqrt(2 × 0.5) = 1; (1 × 8 × 1)^(1/3) = 2, cut to 1.5; 0.25 alone
    log_ratio = torch.tensor([2.0, 0.5, 1.0, 8.0, 1.0, 0.25]).log()
    assert geometric(log_ratio, segments(2, 3, 1), cap=1.5).tolist() == pytest.approx([1.0, 1.0, 1.5, 1.5, 1.5, 0.25])
