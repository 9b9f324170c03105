"""What the learner group tells its ranks to do with a batch."""

from toolrl.actors.learner import LearnerGroup
from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Verdict, WeightVersion

MAX_TOKENS = 100


def batch(algo):
    """Two groups of two: the second completion of each is 100 tokens long and cut short."""
    groups = [
        ScoredGroup(
            GroupRef(draw, str(draw), 10, (50, 100), (WeightVersion(0),) * 2, (False, True), "e", 0.0, handle=f"group {draw}"),
            (Verdict(1.0, Reason.CORRECT), Verdict(0.5, Reason.WRONG_VALUE)),
        )
        for draw in (3, 8)
    ]
    return Batch(WeightVersion(0), trajectories(algo, groups, MAX_TOKENS))


def shards(algo, *, num_ranks=2, **learner):
    config = LearnerConfig(num_ranks=num_ranks, **learner)
    return LearnerGroup([], config, algo=algo, max_tokens=MAX_TOKENS)._shards(batch(algo))


def rows(shard):
    return sorted((row.draw, row.sample) for step in shard.optimizer_steps for micro in step for row in micro.rows)


def test_each_group_goes_to_one_rank_with_its_advantages():
    made = shards(AlgoConfig(advantage="mean"))
    assert sorted(rows(shard) for shard in made) == [[(3, 0), (3, 1)], [(8, 0), (8, 1)]]
    for shard in made:
        ((draw, advantages),) = shard.advantages.items()
        assert shard.handles == {draw: f"group {draw}"}
        assert advantages == (0.25, -0.25)
        assert shard.rewards == {}


def test_a_masked_completion_is_not_trained_but_keeps_its_advantage():
    made = shards(AlgoConfig(advantage="mean", truncated="mask"))
    assert sorted(rows(shard) for shard in made) == [[(3, 0)], [(8, 0)]]
    assert [list(shard.advantages.values()) for shard in made] == [[(0.25, -0.25)]] * 2


def test_ranks_get_the_shaped_rewards_where_the_kl_penalty_goes_into_them():
    algo = AlgoConfig(kl_coef=0.1, kl_in="reward", truncated="shape", overlong_buffer=20)
    for shard in shards(algo):
        ((draw, rewards),) = shard.rewards.items()
        assert draw in shard.handles
        assert rewards == (1.0, -0.5)
    assert all(shard.rewards == {} for shard in shards(AlgoConfig(kl_coef=0.0, kl_in="reward")))


def test_ranks_that_share_sequences_are_one_share_of_the_batch():
    (made,) = shards(AlgoConfig(), num_ranks=2, sequence_parallel=2)
    assert rows(made) == [(3, 0), (3, 1), (8, 0), (8, 1)]


def test_prompts_are_shared_unless_the_setting_says_otherwise():
    for share, tokens in ((True, 9 + 51 + 101), (False, 60 + 110)):
        (first, second) = (micro for shard in shards(AlgoConfig(), share_prompts=share) for micro in shard.optimizer_steps[0])
        assert first.tokens == second.tokens == tokens
