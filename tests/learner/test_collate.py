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
ROWS = (Row(7, 0, 5, 0.75), Row(7, 1, 6, -1.5))


def test_a_token_is_predicted_from_the_position_before_it_and_masked_ones_are_left_out():
    made = policy_tokens(MicroBatch(ROWS), {7: GROUP}, "cpu")
    assert made.tokens.input_ids.tolist() == [[1, 2, 3, 4, 5, 0], [1, 2, 3, 6, 7, 8]]
    assert made.tokens.labels.tolist() == [4, 5, 6, 8]
    assert made.tokens.positions.tolist() == [2, 3, 6 + 2, 6 + 4]
    assert made.advantage.tolist() == [0.75, 0.75, -1.5, -1.5]
    assert made.engine_logp.tolist() == [-0.5, -0.25, -1.0, -3.0]
    assert (made.tokens.num_real, made.tokens.num_trained) == (11, 4)


def test_without_rows_there_is_a_pass_that_trains_nothing():
    made = policy_tokens(MicroBatch(()), {}, "cpu")
    assert made.tokens.input_ids.shape == (1, 1)
    assert (made.tokens.num_real, made.tokens.num_trained) == (0, 0)
    assert made.tokens.positions.dtype == made.tokens.labels.dtype == torch.int64


@pytest.mark.parametrize(("prompt_tokens", "labels"), [(0, [2, 3, 4]), (1, [2, 3, 4]), (3, [4]), (4, [])])
def test_a_demonstration_is_trained_behind_its_prompt_and_never_on_its_first_token(prompt_tokens, labels):
    made = demonstration_tokens([Demonstration(np.array([1, 2, 3, 4], np.int32), prompt_tokens)], "cpu")
    assert made.labels.tolist() == labels
    assert made.positions.tolist() == [label - 2 for label in labels]
