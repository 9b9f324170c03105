import pickle
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.rows import read_rows
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.learner.packing import Demonstration, MicroBatch, Row, imbalance, pack, shard_batch, shard_demonstrations
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Trajectory, Verdict, WeightVersion


def batch(groups, truncated=()):
    """`groups`: (prompt tokens, completion tokens of each member), drawn from number 100 on; `truncated`: (draw, sample)."""
    made = []
    for i, (prompt, completions) in enumerate(groups):
        n = len(completions)
        cut = tuple((100 + i, k) in truncated for k in range(n))
        ref = GroupRef(100 + i, f"p{i}", prompt, tuple(completions), (WeightVersion(0),) * n, cut, "e", 0.0, f"handle {i}")
        made.append(Trajectory(ScoredGroup(ref, (Verdict(1.0, Reason.CORRECT),) * n), tuple(i + k / 10 for k in range(n))))
    return Batch(WeightVersion(3), tuple(made))


def rows(shards):
    return [row for shard in shards for step in shard.optimizer_steps for micro in step for row in micro.rows]


def demo_like(seed, num_groups=16, n=8):
    rng = np.random.default_rng(seed)
    prompts = rng.normal(104, 25, num_groups).clip(40, 171).astype(int)
    return batch([(int(p), [int(c) for c in rng.normal(35, 9, n).clip(10, 60)]) for p in prompts])


GROUPS = st.lists(st.tuples(st.integers(1, 40), st.lists(st.integers(1, 40), min_size=1, max_size=5)), min_size=1, max_size=12)


@given(GROUPS, st.integers(1, 4), st.integers(1, 4), st.integers(80, 300), st.booleans())
def test_every_completion_is_computed_once_in_its_own_optimizer_step_under_the_token_limit(
    groups, num_ranks, minibatches, max_tokens, share
):
    made = batch(groups)
    shards = shard_batch(made, num_ranks=num_ranks, minibatches=minibatches, max_tokens=max_tokens, share_prompts=share)
    expected = {
        Row(100 + i, k, prompt, prompt + tokens, i + k / 10)
        for i, (prompt, completions) in enumerate(groups)
        for k, tokens in enumerate(completions)
    }
    found = rows(shards)
    assert len(found) == len(expected)
    assert set(found) == expected
    bounds = [100 + len(groups) * m // minibatches for m in range(minibatches + 1)]
    for shard in shards:
        assert len(shard.optimizer_steps) == minibatches
        assert shard.handles == {draw: f"handle {draw - 100}" for draw in {row.draw for row in rows([shard])}}
        for m, step in enumerate(shard.optimizer_steps):
            assert all(bounds[m] <= row.draw < bounds[m + 1] for micro in step for row in micro.rows)
            assert all(micro.tokens <= max_tokens and micro.share_prompts == share for micro in step)
    for m in range(minibatches):
        assert len({len(shard.optimizer_steps[m]) for shard in shards}) == 1, "ranks would wait for each other for ever"


@given(GROUPS, st.integers(1, 4))
def test_a_group_is_whole_on_one_rank(groups, num_ranks):
    shards = shard_batch(batch(groups), num_ranks=num_ranks, minibatches=1, max_tokens=500)
    assert sum(len(shard.handles) for shard in shards) == len(groups)


def test_the_demo_is_balanced_within_a_hundredth():
    for seed in range(10):
        assert imbalance(shard_batch(demo_like(seed), num_ranks=2, minibatches=1, max_tokens=16384)) <= 0.01


@pytest.mark.parametrize(("num_ranks", "minibatches"), [(2, 1), (8, 4), (32, 4)])
@pytest.mark.parametrize("n", [5, 16])
def test_real_prompts_are_balanced_within_five_percent_and_shared_ones_are_much_less_to_compute(
    shared_data, models, n, num_ranks, minibatches
):
    rng = np.random.default_rng(0)
    tokenizer = ChatTokenizer(models["qwen2", True])
    prompts = list(islice(read_rows(shared_data / "tool_calling" / "train.jsonl"), 512))
    lengths = tokenizer.prompt_lengths(prompts, PromptTemplate.load("demo", model_path=models["qwen2", True]))
    groups = [(length, [int(c) for c in rng.lognormal(5, 0.5, n).clip(8, 1024)]) for length in lengths if length <= 2048]
    options = {"num_ranks": num_ranks, "minibatches": minibatches, "max_tokens": 16384}
    shared, repeated = (shard_batch(batch(groups), **options, share_prompts=share) for share in (True, False))
    assert imbalance(shared) <= 0.05
    assert total(shared) < 0.6 * total(repeated)


def total(shards):
    return sum(micro.tokens for shard in shards for step in shard.optimizer_steps for micro in step)


def test_imbalance_is_what_the_fullest_rank_has_over_the_mean_on_average_over_optimizer_steps():
    shards = shard_batch(batch([(1, [29]), (1, [9]), (1, [4]), (1, [4])]), num_ranks=2, minibatches=2, max_tokens=100)
    assert imbalance(shards) == pytest.approx((0.5 + 0.0) / 2)


def test_micro_batches_of_one_number_cost_about_the_same_on_every_rank():
    shards = shard_batch(demo_like(0, num_groups=64), num_ranks=4, minibatches=1, max_tokens=2500)
    tokens = np.array([[micro.tokens for micro in shard.optimizer_steps[0]] for shard in shards])
    assert (tokens.max(0) / tokens.mean(0)).max() <= 1.05
    assert tokens.shape[1] == -(-tokens.sum(1).max() // 2500), "no more of them than the tokens need"


def test_attention_counts_a_long_sequence_costs_more_than_as_many_tokens_in_short_ones():
    groups = [(1, [16383])] + [(1, [1023])] * 32
    first, second = shard_batch(batch(groups), num_ranks=2, minibatches=1, max_tokens=60_000)
    long, short = (first, second) if len(first.handles) < len(second.handles) else (second, first)
    # In tokens 16384 + 8 × 1024 against 24 × 1024 would be even; at 16384 + 16384² / 2¹⁵ = 24576 and 1024 + 32 = 1056 it is 28800 to 29568.
    assert (len(long.handles), len(short.handles)) == (1 + 4, 28)


def test_rows_of_a_group_share_all_of_their_prompt_but_its_last_token():
    rows = (Row(1, 0, 10, 15, 0.0), Row(1, 1, 10, 13, 0.0), Row(2, 0, 4, 6, 0.0))
    assert MicroBatch(rows).tokens == 9 + 6 + 4 + 6
    assert MicroBatch(rows).chunks == (rows[:2], rows[2:])
    assert MicroBatch(rows, share_prompts=False).tokens == 15 + 13 + 6
    assert MicroBatch(rows, share_prompts=False).chunks == ((rows[0],), (rows[1],), (rows[2],))


def test_a_group_stays_in_one_micro_batch_unless_it_does_not_fit_one():
    (shard,) = shard_batch(batch([(21, [9, 9, 9])] * 4), num_ranks=1, minibatches=1, max_tokens=100)
    # 20 + 3 × 10 = 50 tokens each; without sharing 4 × 90 would need four micro-batches
    assert [[len(chunk) for chunk in micro.chunks] for micro in shard.optimizer_steps[0]] == [[3, 3], [3, 3]]
    (shard,) = shard_batch(batch([(21, [9] * 6)]), num_ranks=1, minibatches=1, max_tokens=60)
    # 20 + 6 × 10 = 80 are too many: twice 20 + 3 × 10
    assert [micro.tokens for micro in shard.optimizer_steps[0]] == [50, 50]


def test_a_rank_without_groups_keeps_step_with_empty_micro_batches():
    first, second = shard_batch(batch([(10, [10, 10])]), num_ranks=2, minibatches=1, max_tokens=20)
    assert [len(micro.rows) for micro in first.optimizer_steps[0]] == [1, 1]
    assert [len(micro.rows) for micro in second.optimizer_steps[0]] == [0, 0]
    assert not second.handles


def test_completions_cut_short_are_left_out_where_they_are_masked_and_their_group_is_still_fetched():
    made = batch([(5, [3, 4]), (5, [6])], truncated={(100, 1), (101, 0)})
    (kept,) = shard_batch(made, num_ranks=1, minibatches=1, max_tokens=50)
    (masked,) = shard_batch(made, num_ranks=1, minibatches=1, max_tokens=50, drop_truncated=True)
    assert {(row.draw, row.sample) for row in rows([kept])} == {(100, 0), (100, 1), (101, 0)}
    assert {(row.draw, row.sample) for row in rows([masked])} == {(100, 0)}
    assert masked.handles == kept.handles


def test_a_sequence_that_fits_no_micro_batch_is_refused():
    with pytest.raises(ValueError, match="51 tokens does not fit a micro-batch of 50"):
        shard_batch(batch([(11, [40])]), num_ranks=1, minibatches=1, max_tokens=50)


def test_a_shard_is_the_same_every_time_and_travels_by_pickle():
    made = [shard_batch(demo_like(3), num_ranks=3, minibatches=4, max_tokens=2000) for _ in range(2)]
    assert made[0] == made[1]
    assert tuple(pickle.loads(pickle.dumps(shard)) for shard in made[0]) == made[0]  # noqa: S301


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(60, 200))
def test_packing_for_one_rank_returns_every_index_once_in_bins_that_fit(lengths, max_tokens):
    bins = pack(lengths, max_tokens)
    assert sorted(i for indexes in bins for i in indexes) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in indexes) <= max_tokens for indexes in bins)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 4))
def test_demonstrations_are_shared_out_alike(lengths, num_ranks):
    made = [Demonstration(np.arange(n, dtype=np.int32), prompt_tokens=i) for i, n in enumerate(lengths)]
    shards = shard_demonstrations(made, num_ranks=num_ranks, max_tokens=64)
    assert len({len(shard.micro_batches) for shard in shards}) == 1
    assert sorted(row.prompt_tokens for shard in shards for micro in shard.micro_batches for row in micro) == list(range(len(lengths)))
