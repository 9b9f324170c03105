import numpy as np
import pytest
import torch

from toolrl.learner.collate import demonstration_tokens, policy_tokens
from toolrl.learner.packing import Demonstration, MicroBatch, Row
from toolrl.types import Completion, Draw, Group, Prompt, VersionSpan, WeightVersion


def completion(ids, logprobs, mask):
    spans = (VersionSpan(WeightVersion(0), 0, len(ids)),)
    return Completion(np.array(ids, np.int32), np.array(logprobs, np.float32), np.array(mask), "", "stop", 0, spans)


GROUP = Group(
    Draw(7, Prompt("p", "", (), (), ()), np.array([1, 2, 3], np.int32), 0),
    (completion([4, 5], [-0.5, -0.25], [True, True]), completion([6, 7, 8], [-1.0, -2.0, -3.0], [True, False, True])),
)
ROWS = (Row(7, 0, 3, 5, 0.75), Row(7, 1, 3, 6, -1.5))


def test_completions_share_their_prompt_and_its_last_token_stands_before_each():
    made = policy_tokens(MicroBatch(ROWS), {7: GROUP}, "cpu")
    tokens = made.tokens
    assert tokens.input_ids.tolist() == [[1, 2, 3, 4, 5, 3, 6, 7, 8]]
    assert tokens.position_ids.tolist() == [[0, 1, 2, 3, 4, 2, 3, 4, 5]]
    assert tokens.layout.lengths == (2, 3, 4)
    assert tokens.layout.prefixes == (None, 0, 0)
    assert tokens.labels.tolist() == [4, 5, 6, 8]
    assert tokens.positions.tolist() == [2, 3, 5, 7]
    assert (tokens.num_real, tokens.num_computed, tokens.num_trained) == (9, 9, 4)
    assert MicroBatch(ROWS).tokens == 9


def test_sequences_that_share_nothing_lie_one_behind_the_other_and_their_positions_start_anew():
    made = policy_tokens(MicroBatch(ROWS, share_prompts=False), {7: GROUP}, "cpu")
    tokens = made.tokens
    assert tokens.input_ids.tolist() == [[1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 8]]
    assert tokens.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5]]
    assert tokens.layout.lengths == (5, 6)
    assert tokens.layout.prefixes == (None, None)
    assert (tokens.num_real, tokens.num_computed, tokens.num_trained) == (11, 11, 4)
    assert MicroBatch(ROWS, share_prompts=False).tokens == 11


@pytest.mark.parametrize("share", [False, True])
def test_a_token_is_predicted_from_the_position_before_it_and_masked_ones_are_left_out(share):
    made = policy_tokens(MicroBatch(ROWS, share), {7: GROUP}, "cpu")
    tokens = made.tokens
    assert tokens.labels.tolist() == tokens.input_ids[0, tokens.positions + 1].tolist() == [4, 5, 6, 8]
    assert made.advantage.tolist() == [0.75, 0.75, -1.5, -1.5]
    assert made.engine_logp.tolist() == [-0.5, -0.25, -1.0, -3.0]


def test_a_prompt_of_one_completion_or_of_one_token_is_no_segment_of_its_own():
    one = policy_tokens(MicroBatch(ROWS[:1]), {7: GROUP}, "cpu").tokens
    assert (one.input_ids.tolist(), one.layout.prefixes) == ([[1, 2, 3, 4, 5]], (None,))
    short = Group(Draw(7, GROUP.draw.prompt, np.array([1], np.int32), 0), GROUP.completions)
    made = MicroBatch((Row(7, 0, 1, 3, 0.0), Row(7, 1, 1, 4, 0.0)))
    two = policy_tokens(made, {7: short}, "cpu").tokens
    assert (two.input_ids.tolist(), two.layout.prefixes) == ([[1, 4, 5, 1, 6, 7, 8]], (None, None))
    assert made.tokens == two.num_computed == 7


def test_groups_of_a_micro_batch_have_a_prompt_each():
    other = Group(Draw(9, GROUP.draw.prompt, np.array([11, 12, 13, 14], np.int32), 0), GROUP.completions)
    rows = (*ROWS, Row(9, 0, 4, 6, 0.0), Row(9, 1, 4, 7, 0.0))
    tokens = policy_tokens(MicroBatch(rows), {7: GROUP, 9: other}, "cpu").tokens
    assert tokens.layout.lengths == (2, 3, 4, 3, 3, 4)
    assert tokens.layout.prefixes == (None, 0, 0, None, 3, 3)
    assert tokens.position_ids[0, 9:].tolist() == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6]


def test_segments_say_which_completion_a_token_is_of_and_one_without_tokens_keeps_its_place():
    untrained = completion([4], [-0.5], [False])
    group = Group(GROUP.draw, (*GROUP.completions, untrained))
    rows = (ROWS[0], Row(7, 2, 3, 4, 1.0), ROWS[1])
    made = policy_tokens(MicroBatch(rows), {7: group}, "cpu")
    assert made.rows == rows
    assert made.segments.index.tolist() == [0, 0, 2, 2]
    assert made.segments.lengths.tolist() == [2.0, 0.0, 2.0]


def test_without_rows_there_is_a_pass_that_trains_nothing():
    made = policy_tokens(MicroBatch(()), {}, "cpu")
    assert made.tokens.input_ids.shape == made.tokens.position_ids.shape == (1, 1)
    assert (made.tokens.num_real, made.tokens.num_computed, made.tokens.num_trained) == (0, 1, 0)
    assert made.tokens.positions.dtype == made.tokens.labels.dtype == torch.int64
    assert len(made.segments.lengths) == len(made.advantage) == len(made.engine_logp) == 0


@pytest.mark.parametrize(("prompt_tokens", "labels"), [(0, [2, 3, 4]), (1, [2, 3, 4]), (3, [4]), (4, [])])
def test_a_demonstration_is_trained_behind_its_prompt_and_never_on_its_first_token(prompt_tokens, labels):
    made = demonstration_tokens([Demonstration(np.array([1, 2, 3, 4], np.int32), prompt_tokens)], "cpu")
    assert made.labels.tolist() == labels
    assert made.positions.tolist() == [label - 2 for label in labels]
