import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.learner.balance import balance, cost, pack_alike


def sums(bins, loads):
    return [sum(loads[i] for i in indexes) for indexes in bins]


def sized(lengths):
    return [(tokens, cost(tokens)) for tokens in lengths]


def test_a_sequence_costs_its_tokens_and_the_square_of_them_over_two_to_the_fifteen():
    assert [cost(1024), cost(2**15)] == [1024 + 32, 2 * 2**15]


def test_exchanges_improve_on_heaviest_first():
    # Heaviest first gives 3 + 2 + 2 against 3 + 2; 3 + 3 against 2 + 2 + 2 is even.
    assert sums(balance([3, 3, 2, 2, 2], 2), [3, 3, 2, 2, 2]) == [6, 6]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 3))
def test_the_largest_sum_is_within_four_thirds_of_the_best_there_is(loads, num_bins):
    bins = balance(loads, num_bins)
    assert sorted(i for indexes in bins for i in indexes) == list(range(len(loads)))
    best = min(
        max(sum(load for load, at in zip(loads, where, strict=True) if at == b) for b in range(num_bins))
        for where in itertools.product(range(num_bins), repeat=len(loads))
    )
    assert max(sums(bins, loads)) <= best * 4 / 3


@given(st.lists(st.lists(st.integers(1, 50), max_size=15), min_size=1, max_size=4), st.integers(50, 120))
def test_all_ranks_have_as_many_micro_batches_and_empty_ones_only_for_want_of_sequences(lengths_by_rank, max_tokens):
    packed = pack_alike([sized(lengths) for lengths in lengths_by_rank], max_tokens)
    assert len({len(bins) for bins in packed}) == 1
    for lengths, bins in zip(lengths_by_rank, packed, strict=True):
        assert sorted(i for indexes in bins for i in indexes) == list(range(len(lengths)))
        assert all(total <= max_tokens for total in sums(bins, lengths))
        assert sum(not indexes for indexes in bins) == max(0, len(bins) - len(lengths))


def test_the_costliest_micro_batch_is_the_first_on_every_rank():
    made = [[9, 2, 4, 8], [5, 7, 1, 6]]
    for bins, lengths in zip(pack_alike([sized(lengths) for lengths in made], 12), made, strict=True):
        assert sums(bins, lengths) == sorted(sums(bins, lengths), reverse=True)


def test_a_bin_that_is_cheapest_but_full_is_passed_over():
    # The second, cheapest where the third comes, has no room for it.
    assert pack_alike([[(50, 9.0), (80, 2.0), (40, 1.0)]], 100) == [[[0, 2], [1]]]


def test_thousands_of_loads_are_shared_out_evenly():
    loads = np.random.default_rng(0).integers(10, 4000, 5000)
    totals = sums(balance(loads, 32), loads)
    assert max(totals) / np.mean(totals) == pytest.approx(1, abs=0.003)


def test_loads_that_their_sums_round_away_come_to_rest():
    rng = np.random.default_rng(0)
    for _ in range(300):
        loads = rng.choice([0, 1, 1e-9, 5, 1e6], 44) * rng.choice([1, 1, rng.random()], 44)
        bins = balance(loads, 5)
        assert sorted(i for indexes in bins for i in indexes) == list(range(44))
