import numpy as np
import pytest
import torch

from toolrl.algo.segments import Segments
from toolrl.config.learning import AlgoConfig
from toolrl.learner.collate import PolicyTokens, demonstration_tokens
from toolrl.learner.kl_reward import advantages_by_draw, penalised, penalties, with_advantages
from toolrl.learner.packing import Demonstration, Row

ROWS = tuple(Row(draw=draw, sample=i, prompt_tokens=2, tokens=5, advantage=9.0) for draw, i in ((4, 0), (4, 1), (7, 0)))


def micro_batch():
    """Completions of 3, 0 and 2 trained tokens."""
    segments = Segments(torch.tensor([0, 0, 0, 2, 2]), torch.tensor([3.0, 0.0, 2.0]))
    tokens = demonstration_tokens([Demonstration(np.arange(6, dtype=np.int32), 1)], "cpu")
    return PolicyTokens(tokens, torch.full((5,), 9.0), torch.zeros(5), segments, ROWS)


def test_a_completion_pays_for_the_sum_of_its_tokens():
    old, reference = torch.tensor([-1.0, -1.0, -1.0, -2.0, -2.0]), torch.tensor([-1.5, -1.25, -1.0, -1.0, -3.5])
    found = penalties(AlgoConfig(kl_coef=0.1, kl_estimator="k1"), micro_batch(), old, reference)
    assert found == pytest.approx({(4, 0): 0.075, (4, 1): 0.0, (7, 0): 0.05})
    found = penalties(AlgoConfig(kl_coef=0.1, kl_estimator="k2"), micro_batch(), old, reference)
    assert found == pytest.approx({(4, 0): 0.1 * (0.25 + 0.0625) / 2, (4, 1): 0.0, (7, 0): 0.1 * (1 + 2.25) / 2})


def test_without_a_reward_or_a_penalty_there_is_no_penalised_reward():
    made = penalised({4: (1.0, 0.5, None), 7: (1.0, 0.0, 0.25)}, {(4, 0): 0.25, (4, 1): 0.5, (4, 2): 0.1, (7, 0): 0.5, (7, 2): 0.75})
    assert made == {4: (0.75, 0.0, None), 7: (0.5, None, -0.5)}


def test_a_group_whose_rewards_agree_is_not_told_apart_by_its_penalties():
    rewards = {4: (1.0, 1.0, None), 7: (0.0,), 9: (1.0, 0.0)}
    made = penalised(rewards, {(4, 0): 0.25, (4, 1): 0.5, (4, 2): 0.1, (7, 0): 0.5, (9, 0): 0.25, (9, 1): 0.5})
    assert made == {4: (1.0, 1.0, None), 7: (0.0,), 9: (0.75, -0.5)}
    found = advantages_by_draw(AlgoConfig(advantage="group"), made)
    assert found[4] == (0.0, 0.0, 0.0)
    assert found[7] == (0.0,)


def test_a_group_agrees_if_those_of_its_completions_that_are_trained_do():
    made = penalised({4: (1.0, 0.0, 0.0)}, {(4, 1): 0.25, (4, 2): 0.5})  # the first is left out: the others are not told apart
    assert made == {4: (None, 0.0, 0.0)}
    assert advantages_by_draw(AlgoConfig(advantage="group"), made) == {4: (0.0, 0.0, 0.0)}


def test_advantages_are_those_of_the_whole_batch_in_whatever_order_the_ranks_gave_it():
    algo = AlgoConfig(advantage="batch", advantage_eps=0.0)
    rewards = {7: (1.0, 0.0), 4: (3.0, 1.0, None)}
    made = advantages_by_draw(algo, rewards)
    std = ((0.5 + 2.0) / 3) ** 0.5  # centred: ±0.5 and ±1
    assert made == {4: pytest.approx((1 / std, -1 / std, 0.0)), 7: pytest.approx((0.5 / std, -0.5 / std))}
    assert made == advantages_by_draw(algo, dict(reversed(rewards.items())))


def test_each_token_gets_the_advantage_of_its_completion():
    found = with_advantages(micro_batch(), {4: (0.5, -0.5), 7: (2.0,)})
    assert found.advantage.tolist() == [0.5, 0.5, 0.5, 2.0, 2.0]
    assert [row.advantage for row in found.rows] == [0.5, -0.5, 2.0]


def test_a_penalty_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="start checkpoint"):
        penalties(AlgoConfig(kl_coef=0.1), micro_batch(), torch.zeros(5), None)
