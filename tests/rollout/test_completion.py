"""From vLLM's outputs to completions."""

from types import SimpleNamespace

import numpy as np
import pytest

from toolrl.errors import RolloutError
from toolrl.rollout.completion import completion
from toolrl.types import VersionSpan


def output(**changes):
    values = {
        "index": 2,
        "token_ids": [11, 12, 13],
        "logprobs": SimpleNamespace(logprobs=[-0.5, -1.0, -2.0]),
        "finish_reason": "stop",
        "weight_versions": [SimpleNamespace(version="4", start=0, end=1), SimpleNamespace(version="5", start=1, end=3)],
    }
    return SimpleNamespace(**{**values, **changes})


def decode(token_ids):
    return " ".join(map(str, token_ids))


def test_tokens_keep_the_stop_token_and_text_does_not():
    found = completion(output(), seed=7, decode=decode)
    assert found.token_ids.tolist() == [11, 12, 13]
    assert found.text == "11 12"
    assert not found.truncated


def test_a_completion_cut_short_keeps_its_last_token_in_the_text():
    found = completion(output(finish_reason="length"), seed=7, decode=decode)
    assert found.text == "11 12 13"
    assert found.truncated


def test_arrays_have_the_types_of_the_nouns_and_every_token_is_trained():
    found = completion(output(), seed=7, decode=decode)
    assert (found.token_ids.dtype, found.logprobs.dtype, found.loss_mask.dtype) == (np.int32, np.float32, np.bool_)
    assert found.logprobs.tolist() == [-0.5, -1.0, -2.0]
    assert found.loss_mask.all()
    assert found.seed == 7


def test_labels_become_versions_by_span():
    assert completion(output(), seed=7, decode=decode).spans == (VersionSpan(4, 0, 1), VersionSpan(5, 1, 3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finish_reason": "abort"}, "completion 2 ended with 'abort'"),
        ({"finish_reason": "error"}, "completion 2 ended with 'error'"),
        ({"logprobs": SimpleNamespace(logprobs=[-0.5])}, "3 tokens and 1 log-probabilities"),
        ({"weight_versions": None}, "does not say which weights"),
    ],
)
def test_what_is_not_whole_fails(changes, words):
    with pytest.raises(RolloutError, match=words):
        completion(output(**changes), seed=7, decode=decode)
