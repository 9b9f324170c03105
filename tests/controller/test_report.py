"""What a batch says, by hand; see test_loop for a whole row."""

from dataclasses import replace

import pytest

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.controller.report import batch_metrics, rates
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Verdict

ALGO = AlgoConfig(advantage_eps=0.0)


def scored(draw, verdicts, *, oldest=0, tokens=4, lengths=None):
    """A group; with `lengths`, one for each completion, those of 6 tokens are truncated."""
    n = len(verdicts)
    cut = tuple(length == 6 for length in lengths) if lengths else (False,) * n
    return ScoredGroup(GroupRef(draw, "p", 10, lengths or (tokens,) * n, (oldest,) * n, cut, "e", 1.0, None), tuple(verdicts))


def metrics_of(batch, max_staleness=0, **algo):
    return batch_metrics(batch, AlgoConfig(**algo), max_tokens=6, max_staleness=max_staleness)


RIGHT = Verdict(1.0, Reason.CORRECT, format_right=True, content_right=True)
WRONG = Verdict(0.0, Reason.NO_TOOL_CALL, content_right=True)
FAILED = Verdict(None, Reason.VERIFIER_ERROR)


def test_replaced_groups_count_for_rewards_but_not_for_work():
    groups = [scored(0, [RIGHT, WRONG]), scored(1, [WRONG, WRONG], tokens=6)]
    metrics = metrics_of(Batch(0, trajectories(ALGO, [groups[0]], 0), (groups[1],)))
    assert metrics["reward/mean"] == 1 / 4
    assert metrics["loop/dull_share"] == 1 / 2
    assert (metrics["loop/draws"], metrics["loop/completions"], metrics["loop/tokens"]) == (2, 2, 8)
    assert metrics["rollout/completion_tokens_mean"] == 5


def test_a_failed_verdict_is_no_reward_of_0():
    metrics = metrics_of(Batch(0, trajectories(ALGO, [scored(0, [RIGHT, FAILED])], 0)))
    assert (metrics["reward/mean"], metrics["reward/failed_share"], metrics["reward/format_right"]) == (1, 0.5, 1)
    assert metrics["reward/reason/verifier_error"] == 0.5


def test_without_any_reward_there_is_no_mean():
    metrics = metrics_of(Batch(0, trajectories(ALGO, [scored(0, [FAILED, FAILED])], 0)))
    assert metrics["reward/failed_share"] == 1
    assert "reward/mean" not in metrics


def test_what_bfcl_says_is_told_beside_what_the_mode_says():
    right = replace(RIGHT, bfcl_right=True)  # content, bfcl: yes, yes
    forgiven = Verdict(0.0, Reason.WRONG_VALUE, format_right=True, bfcl_right=True)  # no, yes
    wrong = Verdict(0.0, Reason.WRONG_NAME, format_right=True, bfcl_right=False)  # no, no
    failed = replace(FAILED, bfcl_right=True)  # not judged
    metrics = metrics_of(Batch(0, trajectories(ALGO, [scored(0, [right, forgiven, wrong, wrong, failed])], 0)))
    assert metrics["reward/bfcl_right"] == 2 / 4
    assert metrics["reward/strict_bfcl_agreement"] == 3 / 4
    assert metrics["reward/content_right"] == 1 / 4


def test_where_bfcl_was_not_asked_nothing_is_told():
    metrics = metrics_of(Batch(0, trajectories(ALGO, [scored(0, [RIGHT, WRONG])], 0)))
    assert not [name for name in metrics if "bfcl" in name]


@pytest.mark.parametrize(("oldest", "bound"), [(2, 2), (6, 9)])
def test_staleness_out_of_bounds_is_an_assertion(oldest, bound):
    batch = Batch(5, trajectories(ALGO, [scored(8, [RIGHT, WRONG], oldest=oldest)], 0))
    with pytest.raises(AssertionError, match=f"draw 8 was sampled by version {oldest} and trains version 5; bound {bound}"):
        metrics_of(batch, bound)


def test_what_has_advantage_0_is_counted_by_its_cause():
    groups = [
        scored(0, [RIGHT, WRONG, FAILED]),  # only its failure has 0
        scored(1, [WRONG, WRONG, WRONG]),  # agrees
        scored(2, [RIGHT, RIGHT, FAILED]),  # agrees, one failed
        scored(3, [WRONG]),  # a group of one
        scored(4, [FAILED, RIGHT]),  # one left
        scored(5, [FAILED, FAILED]),  # none left
    ]
    metrics = metrics_of(Batch(0, trajectories(ALGO, groups, 0)))
    assert (metrics["loop/agreeing_groups"], metrics["loop/single_groups"], metrics["loop/unjudged_completions"]) == (2, 3, 5)
    assert metrics["loop/dull_share"] == 5 / 6
    zero = sum(advantage == 0 for trajectory in trajectories(ALGO, groups, 0) for advantage in trajectory.advantages)
    assert zero == 1 + 3 + 3 + 1 + 2 + 2


def test_replaced_groups_are_not_counted_among_those_trained_with_advantage_0():
    metrics = metrics_of(Batch(0, trajectories(ALGO, [scored(0, [RIGHT, WRONG])], 0), (scored(1, [WRONG, WRONG]),)))
    assert (metrics["loop/agreeing_groups"], metrics["loop/dull_share"]) == (0, 1 / 2)


@pytest.mark.parametrize(("truncated", "masked", "completions", "tokens"), [("keep", 0, 4, 18), ("mask", 2, 2, 6), ("shape", 0, 4, 18)])
def test_masked_completions_are_counted_apart_from_those_trained(truncated, masked, completions, tokens):
    groups = [scored(0, [RIGHT, WRONG], lengths=(2, 6)), scored(1, [RIGHT, WRONG], lengths=(6, 4))]
    batch = Batch(0, trajectories(ALGO, groups, 6), (scored(2, [WRONG, WRONG], lengths=(6, 6)),))
    metrics = metrics_of(batch, truncated=truncated, overlong_buffer=4)
    assert metrics["loop/masked_completions"] == masked
    assert (metrics["loop/completions"], metrics["loop/tokens"]) == (completions, tokens)
    assert metrics["rollout/truncated_share"] == 4 / 6


def test_what_rewards_lose_for_length_is_told_beside_their_mean():
    batch = Batch(0, trajectories(ALGO, [scored(0, [RIGHT, WRONG, FAILED], lengths=(3, 6, 6))], 6))
    metrics = metrics_of(batch, truncated="shape", overlong_buffer=4)
    assert metrics["reward/overlong"] == (-0.25 - 1) / 2  # one token into a buffer of 4, and all of it
    assert metrics["reward/mean"] == 0.5
    assert "reward/overlong" not in metrics_of(batch)


def test_a_group_that_agrees_but_for_its_lengths_has_something_to_learn_where_length_counts():
    group = scored(0, [RIGHT, RIGHT], lengths=(2, 6))
    shape = AlgoConfig(truncated="shape", overlong_buffer=4)
    metrics = batch_metrics(Batch(0, trajectories(shape, [group], 6)), shape, max_tokens=6, max_staleness=0)
    assert (metrics["loop/agreeing_groups"], metrics["loop/dull_share"]) == (0, 1)


def test_rates_are_per_second_of_the_step():
    assert rates({"loop/step_s": 2.0, "loop/completions": 64.0, "loop/tokens": 640.0}) == {
        "loop/completions_per_s": 32,
        "loop/tokens_per_s": 320,
    }
