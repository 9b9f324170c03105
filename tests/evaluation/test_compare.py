"""Two models on the same items: the p-value against every outcome of as many coins, the interval against resampling of the pairs."""

from itertools import product

import numpy as np
import pytest

from toolrl.evaluation.compare import compare, mcnemar


def verdicts(*counts):
    """Verdicts of two models from the numbers of items that (both, a alone, b alone, neither) get right."""
    pairs = [pair for pair, count in zip([(1, 1), (1, 0), (0, 1), (0, 0)], counts, strict=True) for _ in range(count)]
    return ({str(i): bool(pair[side]) for i, pair in enumerate(pairs)} for side in (0, 1))


@pytest.mark.parametrize(("only_a", "only_b"), [(a, b) for a in range(7) for b in range(7)])
def test_p_is_the_share_of_all_outcomes_of_fair_coins_that_are_as_uneven(only_a, only_b):
    coins = only_a + only_b
    outcomes = [abs(2 * sum(faces) - coins) for faces in product((0, 1), repeat=coins)]
    expected = sum(uneven >= abs(only_a - only_b) for uneven in outcomes) / len(outcomes)
    assert mcnemar(only_a, only_b) == pytest.approx(expected, abs=1e-12)


def test_p_is_exact_for_many_items_too():
    assert mcnemar(0, 60) == pytest.approx(2**-59)
    assert mcnemar(1500, 1500) == 1.0
    assert mcnemar(40, 70) == mcnemar(70, 40) == pytest.approx(0.0055, abs=1e-4)  # a normal approximation with continuity: 0.0057


def test_shares_and_pairs_are_counted_over_the_items_that_both_answered():
    a = {"1": True, "2": True, "3": False, "4": True, "only a": True}
    b = {"4": False, "3": True, "2": True, "1": True, "only b": False}
    found = compare(a, b)
    assert (found.items, found.a, found.b, found.only_a, found.only_b, found.p) == (4, 0.75, 0.75, 1, 1, 1.0)
    assert found.difference == 0.0


def test_models_without_an_item_in_common_are_not_compared():
    assert compare({"1": True}, {"2": True}) is None


def test_models_that_agree_do_not_differ():
    found = compare(*verdicts(5, 0, 0, 3))
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("counts", [(60, 10, 25, 5), (10, 3, 4, 3), (0, 0, 8, 92), (300, 40, 40, 20)])
def test_the_interval_is_that_of_resampling_the_pairs(counts):
    a, b = verdicts(*counts)
    differences = np.array([float(b[key]) - float(a[key]) for key in a])
    drawn = np.random.default_rng(99).choice(differences, (4000, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = compare(a, b)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1.01 / len(a) + 0.005)
    assert found.low <= found.difference <= found.high


def test_what_both_find_easy_takes_no_part_in_p_and_narrows_the_interval():
    few, many = compare(*verdicts(0, 4, 14, 0)), compare(*verdicts(500, 4, 14, 0))
    assert few.p == many.p
    assert many.high - many.low < (few.high - few.low) / 5


def test_the_same_verdicts_give_the_same_interval():
    assert compare(*verdicts(9, 4, 5, 2)) == compare(*verdicts(9, 4, 5, 2))
