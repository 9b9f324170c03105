import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.algo.advantage import group_advantages, trajectory
from toolrl.types import GroupRef, Reason, ScoredGroup, Verdict, WeightVersion


def test_the_standard_deviation_is_over_n_minus_one():
    # mean 0.25; squared distances 0.5625 + 3 × 0.0625 = 0.75; over 3: 0.25; root: 0.5
    assert group_advantages([1.0, 0.0, 0.0, 0.0], eps=0.0) == pytest.approx((1.5, -0.5, -0.5, -0.5), abs=1e-15)


def test_eps_is_added_to_the_standard_deviation():
    # std of (1, 0) over n - 1 is sqrt(0.5); with eps 0.5: 0.5 / (0.70710678 + 0.5)
    assert group_advantages([1.0, 0.0], eps=0.5) == pytest.approx((0.41421356, -0.41421356), abs=1e-8)


@pytest.mark.parametrize("rewards", [[1.0], [0.7], [1.0, 1.0, 1.0], [0.1 + 0.2] * 7, [], [None, None], [1.0, None, None]])
def test_a_group_with_nothing_to_compare_has_advantage_zero(rewards):
    assert group_advantages(rewards, eps=1e-6) == (0.0,) * len(rewards)


def test_a_verifier_failure_leaves_the_statistics_and_gets_zero():
    with_failure = group_advantages([1.0, None, 0.0, 0.0, 0.0, None], eps=1e-6)
    assert (with_failure[1], with_failure[5]) == (0.0, 0.0)
    assert tuple(with_failure[i] for i in (0, 2, 3, 4)) == group_advantages([1.0, 0.0, 0.0, 0.0], eps=1e-6)


@given(st.lists(st.one_of(st.none(), st.floats(-10, 10)), max_size=12))
def test_advantages_are_finite_centred_and_keep_the_order_of_rewards(rewards):
    advantages = group_advantages(rewards, eps=1e-6)
    known = [(r, a) for r, a in zip(rewards, advantages, strict=True) if r is not None]
    assert all(math.isfinite(a) for a in advantages)
    assert abs(sum(a for _, a in known)) < 1e-6
    for (r1, a1), (r2, a2) in zip(sorted(known)[:-1], sorted(known)[1:], strict=True):
        assert a1 <= a2 or r1 == r2


def test_a_trajectory_carries_one_advantage_for_each_verdict():
    ref = GroupRef(3, "p", 5, (2, 2, 2), (WeightVersion(0),) * 3, (False,) * 3, "e0", 0.0, handle=None)
    failed = Verdict(None, Reason.VERIFIER_ERROR)
    scored = ScoredGroup(ref, (Verdict(1.0, Reason.CORRECT), failed, Verdict(0.0, Reason.WRONG_NAME)))
    made = trajectory(scored, eps=0.0)
    assert made.advantages == pytest.approx((math.sqrt(0.5), 0.0, -math.sqrt(0.5)))
