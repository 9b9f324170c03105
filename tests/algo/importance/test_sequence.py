import math

import pytest
import torch

from toolrl.algo.importance.sequence import sequence


def test_it_is_the_product_of_the_completions_ratios_truncated_at_the_cap(segments):
    # 1.5 × 1.2 = 1.8; 0.5 × 0.5 = 0.25; 2 × 3 = 6, cut to 2
    log_ratio = torch.tensor([1.5, 1.2, 0.5, 0.5, 2.0, 3.0]).log()
    assert sequence(log_ratio, segments(2, 2, 2), cap=2.0).tolist() == pytest.approx([1.8, 1.8, 0.25, 0.25, 2.0, 2.0])


def test_the_cap_is_on_the_product_not_on_its_factors(segments):
    assert sequence(torch.tensor([4.0, 0.25]).log(), segments(2), cap=2.0).tolist() == pytest.approx([1.0, 1.0])


def test_long_products_neither_overflow_nor_exceed_the_cap(segments):
    log_ratio = torch.tensor([math.log(1.5)] * 2000 + [-math.log(1.5)] * 2000)
    weights = sequence(log_ratio, segments(2000, 2000), cap=2.0)
    assert weights[0].item() == 2.0
    assert weights[-1].item() == 0.0
