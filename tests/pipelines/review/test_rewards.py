"""The reward that a command names."""

import pytest

from toolrl.config.task import RewardConfig
from toolrl.errors import ConfigError
from toolrl.pipelines.review.rewards import told, weights, with_reward


@pytest.mark.parametrize("words", [["binary"], ["=1"], ["binary=one"], ["binary=1", "binary=2"]])
def test_words_that_are_no_weights_are_refused(words):
    with pytest.raises(ConfigError, match="give each reward function once, as NAME=WEIGHT"):
        weights(words)


def test_what_is_not_given_stays_as_it_was():
    base = RewardConfig(mode="paper", no_call="list", functions={"names": 1.0})
    assert with_reward(base, None, None, None) == base
    assert with_reward(base, "bfcl", None, weights(["binary=2"])) == RewardConfig(mode="bfcl", no_call="list", functions={"binary": 2.0})


def test_a_reward_in_words():
    assert told(RewardConfig()) == "strict, no call: either"
    assert told(RewardConfig(mode="paper", functions={"match": 0.5})) == "paper, reward = 0.5 × match"
