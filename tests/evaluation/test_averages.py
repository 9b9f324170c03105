"""Averages: values by hand, intervals against plain resampling of the items."""

from math import comb

import numpy as np
import pytest

from toolrl.evaluation.averages import LEVEL, Average, Estimate, estimate, estimates, interval, mean

EASY, HARD, RARE = (Average(name, (name,)) for name in ("easy", "hard", "rare"))
COUNTS = {"easy": (170, 200), "hard": (30, 90), "rare": (3, 10)}


def resampled(counts, formula, draws=4000):
    """Ends of the interval from resampling the items themselves; `formula` takes the shares by category."""
    random = np.random.default_rng(99)
    items = {name: np.repeat([1.0, 0.0], [right, n - right]) for name, (right, n) in counts.items()}
    shares = {name: random.choice(each, (draws, len(each))).mean(axis=1) for name, each in items.items()}
    return np.quantile(formula(shares), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def test_a_leaf_counts_each_item_once_and_a_node_each_part():
    assert estimate(EASY, COUNTS).value == 0.85
    assert estimate(Average("all", ("easy", "hard", "rare")), COUNTS).value == pytest.approx(203 / 300)
    assert estimate(mean("m", EASY, HARD), COUNTS).value == pytest.approx((0.85 + 1 / 3) / 2)
    assert estimate(mean("m", mean("n", EASY, HARD), RARE), COUNTS).value == pytest.approx(((0.85 + 1 / 3) / 2 + 0.3) / 2)
    weighed = Average("w", parts=((0.9, EASY), (0.1, RARE)))
    assert estimate(weighed, COUNTS).value == pytest.approx(0.9 * 0.85 + 0.1 * 0.3)


def test_items_are_those_it_rests_on_each_once():
    assert estimate(mean("m", EASY, HARD), COUNTS).items == 290
    assert estimate(mean("m", EASY, mean("n", EASY, HARD)), COUNTS).items == 290


@pytest.mark.parametrize(
    ("average", "formula"),
    [
        (RARE, lambda shares: shares["rare"]),
        (mean("m", EASY, HARD, RARE), lambda shares: (shares["easy"] + shares["hard"] + shares["rare"]) / 3),
        (Average("all", ("easy", "hard", "rare")), lambda s: (200 * s["easy"] + 90 * s["hard"] + 10 * s["rare"]) / 300),
        (Average("w", parts=((0.9, EASY), (0.1, RARE))), lambda shares: 0.9 * shares["easy"] + 0.1 * shares["rare"]),
        (mean("m", EASY, mean("n", EASY, HARD)), lambda shares: 0.75 * shares["easy"] + 0.25 * shares["hard"]),
    ],
)
def test_the_interval_is_that_of_resampling_the_items(average, formula):
    found = estimate(average, COUNTS)
    low, high = resampled(COUNTS, formula)
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("right", "items"), [(3, 10), (30, 90), (170, 200), (1, 300)])
def test_the_interval_of_one_category_is_that_of_the_binomial_distribution(right, items):
    share = right / items
    masses = [comb(items, k) * share**k * (1 - share) ** (items - k) for k in range(items + 1)]
    low, high = (np.searchsorted(np.cumsum(masses), quantile) / items for quantile in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    found = estimate(Average("c", ("c",)), {"c": (right, items)})
    assert found.low == pytest.approx(low, abs=1.01 / items)
    assert found.high == pytest.approx(high, abs=1.01 / items)


def test_of_items_that_all_agree_the_bootstrap_knows_no_spread():
    assert estimate(EASY, {"easy": (7, 7)}) == Estimate("easy", "right ÷ items of easy", 7, 1.0, 1.0, 1.0)
    assert (estimate(EASY, {"easy": (0, 7)}).low, estimate(EASY, {"easy": (0, 7)}).high) == (0.0, 0.0)


def test_the_same_counts_give_the_same_interval_and_another_seed_a_like_one():
    first, again, other = (estimate(HARD, COUNTS, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.low == pytest.approx(other.low, abs=0.02)


def test_what_was_not_run_leaves_no_value_and_is_named():
    found = estimate(mean("m", EASY, HARD, RARE), {"easy": (1, 2), "hard": (0, 0)})
    assert (found.value, found.low, found.high, found.missing, found.items) == (None, None, None, ("hard", "rare"), 2)


def test_what_was_not_run_counts_0_where_the_formula_says_so():
    lenient = Average("v4", parts=((0.4, EASY), (0.6, RARE)), missing_is_zero=True)
    found = estimate(lenient, {"easy": (1, 2)})
    assert (found.value, found.missing) == (pytest.approx(0.2), ("rare",))
    assert found.formula == "0.4 × easy + 0.6 × rare; one that was not run counts 0"
    assert estimate(lenient, {}).value is None


def test_only_averages_of_items_that_are_there_are_reported():
    assert [each.name for each in estimates([EASY, HARD, mean("m", EASY, HARD)], {"easy": (1, 2)})] == ["easy", "m"]


def test_an_interval_holds_its_share_of_the_values():
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))
