"""Ranks that share their sequences compute what a single process does, wherever a row is cut."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, Qwen2Config

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import UserError
from toolrl.learner.collate import demonstration_tokens
from toolrl.learner.packing import Demonstration
from toolrl.learner.sequence import check_heads, share

SEQUENCES = [np.arange(3, 3 + n, dtype=np.int32) % 97 for n in (2, 31, 7, 18)]


def ulysses(path, **changes):
    return ModelConfig(path=path, dtype="float32"), LearnerConfig(num_ranks=2, sequence_parallel=2, **changes)


def row(*demonstrations):
    return demonstration_tokens([Demonstration(np.arange(n, dtype=np.int32), prompt) for n, prompt in demonstrations], "cpu")


def test_a_row_is_cut_into_equal_parts_wherever_its_sequences_end():
    whole = row((3, 1), (6, 4))  # tokens 0 1 2 | 0 1 2 3 4 5, of which 1 2 and 4 5 are trained
    left, right = (share(whole, index, 2) for index in range(2))
    assert left[0].input_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert right[0].input_ids.tolist() == [[2, 3, 4, 5, 0]]  # one token more, so that the parts are equal
    assert left[0].position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert right[0].position_ids.tolist() == [[2, 3, 4, 5, 0]]
    assert left[0].layout.lengths == right[0].layout.lengths == (3, 6, 1)
    assert (left[0].positions.tolist(), left[0].labels.tolist(), left[1]) == ([0, 1], [1, 2], 0)
    assert (right[0].positions.tolist(), right[0].labels.tolist(), right[1]) == ([1, 2], [4, 5], 2)


def test_a_part_may_have_no_trained_token_and_a_row_fewer_tokens_than_there_are_ranks():
    parts = [share(row((8, 7)), index, 4) for index in range(4)]
    assert [part.num_trained for part, _ in parts] == [0, 0, 0, 1]
    assert [start for _, start in parts] == [0, 0, 0, 0]
    parts = [share(row((2, 1)), index, 4) for index in range(4)]
    assert [part.input_ids.tolist() for part, _ in parts] == [[[0]], [[1]], [[0]], [[0]]]
    assert [part.num_trained for part, _ in parts] == [1, 0, 0, 0]


def test_an_empty_pass_is_shared_as_well():
    for index in range(2):
        part, _ = share(demonstration_tokens([], "cpu"), index, 2)
        assert part.num_computed == 1
        assert part.num_trained == 0


@pytest.mark.parametrize("make", [Qwen2Config, LlamaConfig])
def test_heads_that_cannot_be_shared_out_are_the_users_to_mend(make):
    config = make(hidden_size=96, num_attention_heads=12, num_key_value_heads=2)
    for size in (1, 2, 4, 6, 12):
        check_heads(config, size)
    for size in (3, 5, 8):
        with pytest.raises(UserError, match=rf"sequence_parallel: got {size} .* 12 attention heads and 2 .* one of 1, 2, 4, 6, 12"):
            check_heads(config, size)


@pytest.mark.stack
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [False, True])
def test_log_probabilities_of_shared_sequences_are_those_of_plain_transformers(two_ranks, models, plain, architecture, tied):
    path = models[architecture, tied]
    two_ranks.make(*ulysses(path, max_tokens_per_microbatch=64, persistent_elements=0))
    for temperature in (1.0, 0.6):
        for found in two_ranks.call("logprobs", SEQUENCES, temperature):
            for ids, logp in zip(SEQUENCES, found, strict=True):
                np.testing.assert_allclose(logp, plain(path).logp(ids, temperature).detach().numpy(), atol=1e-5, rtol=0)
