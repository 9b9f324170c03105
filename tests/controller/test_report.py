"""What a batch says, by hand; see test_loop for a whole row."""

from dataclasses import replace

import pytest

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.controller.report import batch_metrics, rates
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Verdict

ALGO = AlgoConfig(advantage_eps=0.0)


def scored(draw, verdicts, *, oldest=0, tokens=4):
    n = len(verdicts)
    return ScoredGroup(GroupRef(draw, "p", 10, (tokens,) * n, (oldest,) * n, (False,) * n, "e", 1.0, None), tuple(verdicts))


RIGHT = Verdict(1.0, Reason.CORRECT, format_right=True, content_right=True)
WRONG = Verdict(0.0, Reason.NO_TOOL_CALL, content_right=True)
FAILED = Verdict(None, Reason.VERIFIER_ERROR)


def test_replaced_groups_count_for_rewards_but_not_for_work():
    groups = [scored(0, [RIGHT, WRONG]), scored(1, [WRONG, WRONG], tokens=6)]
    metrics = batch_metrics(Batch(0, trajectories(ALGO, [groups[0]], 0), (groups[1],)), 0)
    assert metrics["reward/mean"] == 1 / 4
    assert metrics["loop/dull_share"] == 1 / 2
    assert (metrics["loop/draws"], metrics["loop/completions"], metrics["loop/tokens"]) == (2, 2, 8)
    assert metrics["rollout/completion_tokens_mean"] == 5


def test_a_failed_verdict_is_no_reward_of_0():
    metrics = batch_metrics(Batch(0, trajectories(ALGO, [scored(0, [RIGHT, FAILED])], 0)), 0)
    assert (metrics["reward/mean"], metrics["reward/failed_share"], metrics["reward/format_right"]) == (1, 0.5, 1)
    assert metrics["reward/reason/verifier_error"] == 0.5


def test_without_any_reward_there_is_no_mean():
    metrics = batch_metrics(Batch(0, trajectories(ALGO, [scored(0, [FAILED, FAILED])], 0)), 0)
    assert metrics["reward/failed_share"] == 1
    assert "reward/mean" not in metrics


def test_what_bfcl_says_is_told_beside_what_the_mode_says():
    right = replace(RIGHT, bfcl_right=True)  # content, bfcl: yes, yes
    forgiven = Verdict(0.0, Reason.WRONG_VALUE, format_right=True, bfcl_right=True)  # no, yes
    wrong = Verdict(0.0, Reason.WRONG_NAME, format_right=True, bfcl_right=False)  # no, no
    failed = replace(FAILED, bfcl_right=True)  # not judged
    metrics = batch_metrics(Batch(0, trajectories(ALGO, [scored(0, [right, forgiven, wrong, wrong, failed])], 0)), 0)
    assert metrics["reward/bfcl_right"] == 2 / 4
    assert metrics["reward/strict_bfcl_agreement"] == 3 / 4
    assert metrics["reward/content_right"] == 1 / 4


def test_where_bfcl_was_not_asked_nothing_is_told():
    metrics = batch_metrics(Batch(0, trajectories(ALGO, [scored(0, [RIGHT, WRONG])], 0)), 0)
    assert not [name for name in metrics if "bfcl" in name]


@pytest.mark.parametrize(("oldest", "bound"), [(2, 2), (6, 9)])
def test_staleness_out_of_bounds_is_an_assertion(oldest, bound):
    batch = Batch(5, trajectories(ALGO, [scored(8, [RIGHT, WRONG], oldest=oldest)], 0))
    with pytest.raises(AssertionError, match=f"draw 8 was sampled by version {oldest} and trains version 5; bound {bound}"):
        batch_metrics(batch, bound)


def test_rates_are_per_second_of_the_step():
    assert rates({"loop/step_s": 2.0, "loop/completions": 64.0, "loop/tokens": 640.0}) == {
        "loop/completions_per_s": 32,
        "loop/tokens_per_s": 320,
    }
