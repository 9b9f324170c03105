"""The door of the estimators: failures and groups with nothing to compare, the same for all of them."""

import importlib
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.algo.advantage import advantages, rewards, trajectories
from toolrl.config.learning import ADVANTAGES, AlgoConfig
from toolrl.types import GroupRef, Reason, ScoredGroup, Verdict, WeightVersion

EVERY = pytest.mark.parametrize("name", ADVANTAGES)
GROUPS = st.lists(st.lists(st.one_of(st.none(), st.floats(-10, 10)), max_size=8), max_size=6)
FAILED = Verdict(None, Reason.VERIFIER_ERROR)


def right(reward):
    return Verdict(reward, Reason.CORRECT if reward else Reason.WRONG_NAME)


def scored(*verdicts, tokens=None):
    n = len(verdicts)
    ref = GroupRef(3, "p", 5, tokens or (2,) * n, (WeightVersion(0),) * n, (False,) * n, "e0", 0.0, handle=None)
    return ScoredGroup(ref, verdicts)


def test_each_name_has_a_file_and_another_number():
    found = {}
    for name in ADVANTAGES:
        importlib.import_module(f"toolrl.algo.advantages.{name}")
        ((first, *_), _) = advantages(AlgoConfig(advantage=name, advantage_eps=0.0), [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0]])
        found[name] = first
    # batch: centred 0.75, 3 × -0.25, ±0.5; squares 0.75 + 0.5 = 1.25, over 5: 0.25; root 0.5
    assert found == pytest.approx({"group": 1.5, "mean": 0.75, "leave_one_out": 1.0, "batch": 1.5})


def test_a_name_that_is_none_of_them_is_an_error():
    with pytest.raises(ValueError, match=r"algo\.advantage: got 'gae'"):
        advantages(AlgoConfig(advantage="gae"), [[1.0, 0.0]])


@EVERY
@pytest.mark.parametrize("group", [[1.0], [0.7], [1.0, 1.0, 1.0], [0.1 + 0.2] * 7, [], [None, None], [1.0, None, None]])
def test_a_group_with_nothing_to_compare_has_advantage_zero(name, group):
    alone, beside = AlgoConfig(advantage=name), [[1.0, 0.0], group, [None, 2.0, 5.0]]
    assert advantages(alone, [group]) == ((0.0,) * len(group),)
    assert advantages(alone, beside)[1] == (0.0,) * len(group)


@EVERY
def test_a_verifier_failure_leaves_the_statistics_and_gets_zero(name):
    algo = AlgoConfig(advantage=name)
    with_failure, other = advantages(algo, [[1.0, None, 0.0, 0.0, 0.0, None], [2.0, None, 5.0]])
    without, same = advantages(algo, [[1.0, 0.0, 0.0, 0.0], [2.0, 5.0]])
    assert (with_failure[1], with_failure[5], other[1]) == (0.0, 0.0, 0.0)
    assert tuple(with_failure[i] for i in (0, 2, 3, 4)) == without
    assert (other[0], other[2]) == same


@EVERY
@given(GROUPS)
def test_advantages_are_finite_centred_and_keep_the_order_of_rewards(name, groups):
    for group, made in zip(groups, advantages(AlgoConfig(advantage=name), groups), strict=True):
        known = sorted((r, a) for r, a in zip(group, made, strict=True) if r is not None)
        assert all(math.isfinite(a) for a in made)
        assert abs(sum(a for _, a in known)) < 1e-6
        for (r1, a1), (r2, a2) in pairwise(known):
            assert a1 <= a2 or r1 == r2


@EVERY
@given(GROUPS, st.randoms(use_true_random=False))
def test_only_the_batch_estimator_looks_across_groups_and_none_at_their_order(name, groups, random):
    algo = AlgoConfig(advantage=name)
    made = advantages(algo, groups)
    order = random.sample(range(len(groups)), len(groups))
    turned = advantages(algo, [groups[i] for i in order])
    for i, there in enumerate(order):
        assert turned[i] == pytest.approx(made[there], rel=1e-9)
    if name != "batch":
        assert made == tuple(advantages(algo, [group])[0] for group in groups)


def test_trajectories_carry_one_advantage_for_each_verdict_of_their_group():
    groups = [scored(right(1.0), FAILED, right(0.0)), scored(right(1.0), right(0.0))]
    made = trajectories(AlgoConfig(advantage_eps=0.0), groups, max_tokens=4)
    assert [trajectory.scored for trajectory in made] == groups
    assert made[0].advantages == pytest.approx((math.sqrt(0.5), 0.0, -math.sqrt(0.5)))


def test_long_completions_lose_reward_only_where_that_is_asked():
    group = scored(right(1.0), right(1.0), FAILED, right(0.0), tokens=(4, 9, 10, 10))
    shape = AlgoConfig(advantage="mean", truncated="shape", overlong_buffer=4)
    assert rewards(shape, group, max_tokens=10) == (1.0, 0.25, None, -1.0)
    for kept in ("keep", "mask"):
        assert rewards(replace(shape, truncated=kept), group, max_tokens=10) == (1.0, 1.0, None, 0.0)


def test_of_equally_right_completions_the_shorter_one_is_better_where_length_counts():
    group = scored(right(1.0), right(1.0), tokens=(6, 10))
    shape = AlgoConfig(advantage="mean", truncated="shape", overlong_buffer=4)
    assert trajectories(shape, [group], max_tokens=10)[0].advantages == (0.5, -0.5)
    assert trajectories(replace(shape, truncated="keep"), [group], max_tokens=10)[0].advantages == (0.0, 0.0)
