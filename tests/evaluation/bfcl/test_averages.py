"""BFCL's averages, on numbers worked by hand; `test_benchmark.py` compares them with upstream's own tables."""

import pytest

from toolrl.evaluation.averages import estimate, estimates
from toolrl.evaluation.bfcl.averages import AVERAGES, IRRELEVANCE, LIVE, LIVE_V3, NON_LIVE, NON_LIVE_V3, PAPER, V3, V4
from toolrl.evaluation.bfcl.categories import ITEMS, MULTI_TURN

COUNTS = {
    "simple_python": (360, 400), "simple_java": (60, 100), "simple_javascript": (30, 50),  # 0.9, 0.6, 0.6: simple 0.7
    "multiple": (180, 200), "parallel": (160, 200), "parallel_multiple": (120, 200),  # 0.9, 0.8, 0.6: Non-Live 0.75
    "irrelevance": (120, 240), "live_irrelevance": (663, 884), "live_relevance": (8, 16),  # 0.5, 0.75
    "live_simple": (129, 258), "live_multiple": (851, 1053), "live_parallel": (8, 16), "live_parallel_multiple": (12, 24),  # 1000 of 1351
}  # fmt: skip
MULTI = dict(zip(MULTI_TURN, ((20, 200), (40, 200), (60, 200), (80, 200)), strict=True))  # 0.25


def value(average, counts):
    return estimate(average, counts, resamples=10).value


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        (NON_LIVE, 0.75),
        (NON_LIVE_V3, (0.7 + 0.9 + 0.8 + 0.6 + 0.5) / 5),
        (LIVE, 1000 / 1351),
        (LIVE_V3, 1671 / 2251),
        (IRRELEVANCE, 0.625),
        (PAPER, (0.75 + 1000 / 1351) / 2),
        (V3, (1671 / 2251 + 0.7 + 0.25) / 3),
        (V4, 0.1 * 0.75 + 0.1 * 1000 / 1351 + 0.1 * 0.625 + 0.3 * 0.25),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_the_formulas(average, expected):
    assert value(average, COUNTS | MULTI) == pytest.approx(expected, abs=1e-12)


def test_what_was_not_run_counts_0_in_the_overall_numbers_of_the_leaderboards():
    only = {"live_simple": (258, 258), "parallel": (100, 200)}
    assert value(V4, only) == pytest.approx(0.1 * 0.5 / 4 + 0.1 * 258 / 1351)
    assert value(V3, only) == pytest.approx((258 / 2251 + 0.5 / 5) / 3)
    assert "not run counts 0" in V4.formula


def test_other_averages_have_no_value_where_a_part_was_not_run():
    part = {"live_simple": (258, 258), **{name: COUNTS[name] for name in ITEMS if not name.startswith("live")}}
    assert value(LIVE, part) is None
    assert value(PAPER, part) is None
    assert estimate(PAPER, part).missing == ("live_multiple", "live_parallel", "live_parallel_multiple")
    assert value(NON_LIVE, part) == pytest.approx(0.75)


def test_averages_are_reported_once_each_and_those_of_what_was_run():
    names = [each.name for each in AVERAGES]
    assert len(set(names)) == len(names)
    assert [each.name for each in estimates(AVERAGES, {"irrelevance": (1, 2)})] == [
        "irrelevance", "Irrelevance", "Non-Live (leaderboard v3)", "Overall (leaderboard v3)", "Overall (leaderboard v4)",
    ]  # fmt: skip
    assert sum(ITEMS.values()) == 3641
