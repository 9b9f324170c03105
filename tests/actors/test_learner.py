"""What the learner group hands to its ranks: real Ray actors, with a stand-in for DeepSpeed in each."""

import asyncio

import numpy as np
import pytest
import ray

from toolrl.actors.learner import LearnerGroup
from toolrl.config.learning import LearnerConfig
from toolrl.learner.packing import Demonstration
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, TrainedGroup, Trajectory, Verdict, WeightVersion

pytestmark = pytest.mark.stack


@pytest.fixture
def ranks(ray_cluster):
    class StandIn:  # local, so that Ray sends it by value
        def __init__(self, rank):
            self.rank, self.shards = rank, []

        def step(self, shard):
            self.shards.append(shard)
            return 3, {"learner/loss": float(self.rank)}, {draw: TrainedGroup((0.0, 0.0), (0.25, None)) for draw in shard.handles}

        def sft_step(self, shard):
            self.shards.append(shard)
            return 4, {"learner/loss": 0.5}, {}

        def sft_losses(self, shard):
            return [(float(row.token_ids[0]), len(row.token_ids) - row.prompt_tokens) for micro in shard.micro_batches for row in micro]

        def got(self):
            return self.shards

    actors = [ray.remote(StandIn).options(num_cpus=0).remote(rank) for rank in range(4)]
    yield actors
    for actor in actors:
        ray.kill(actor)


def batch(num):
    verdicts = (Verdict(1.0, Reason.CORRECT), Verdict(0.0, Reason.WRONG_NAME))
    refs = [
        GroupRef(
            draw=i, prompt_id=str(i), prompt_tokens=6, completion_tokens=(4, 4), oldest=(WeightVersion(0),) * 2, truncated=(False, False),
            engine="e", sample_s=0.0, handle=f"handle {i}",
        )
        for i in range(num)
    ]  # fmt: skip
    return Batch(WeightVersion(0), tuple(Trajectory(ScoredGroup(ref, verdicts), (1.0, -1.0)) for ref in refs))


@pytest.mark.parametrize("share", [1, 2, 4])
def test_ranks_that_share_sequences_get_one_shard_and_every_group_is_in_exactly_one(ranks, share):
    config = LearnerConfig(num_ranks=4, sequence_parallel=share, max_tokens_per_microbatch=64)
    report = asyncio.run(LearnerGroup(ranks, config).step(batch(8)))
    shards = [shard for (shard,) in ray.get([rank.got.remote() for rank in ranks], timeout=20)]
    assert [shard.rank for shard in shards] == [rank // share for rank in range(4)]
    draws = [sorted(shard.handles) for shard in shards]
    assert sorted(draw for each in draws[::share] for draw in each) == list(range(8))
    assert all(draws[rank] == draws[rank - rank % share] for rank in range(4))
    assert all(shard.handles[draw] == f"handle {draw}" for shard in shards for draw in shard.handles)
    assert (report.optimizer_steps, report.metrics) == (3, {"learner/loss": 0.0})
    assert report.trained == {draw: TrainedGroup((0.0, 0.0), (0.25, None)) for draw in range(8)}


def test_demonstrations_are_shared_out_in_the_same_way(ranks):
    config = LearnerConfig(num_ranks=4, sequence_parallel=2, max_tokens_per_microbatch=64)
    rows = [Demonstration(np.full(4, i, np.int32), 1) for i in range(6)]
    report = asyncio.run(LearnerGroup(ranks, config).sft_step(rows))
    shards = [shard for (shard,) in ray.get([rank.got.remote() for rank in ranks], timeout=20)]
    held = [sorted(int(row.token_ids[0]) for micro in shard.micro_batches for row in micro) for shard in shards]
    assert held[0] == held[1]
    assert held[2] == held[3]
    assert sorted(held[0] + held[2]) == list(range(6))
    assert report.optimizer_steps == 4


@pytest.mark.parametrize("share", [1, 2, 4])
def test_the_loss_of_each_demonstration_comes_back_once(ranks, share):
    config = LearnerConfig(num_ranks=4, sequence_parallel=share, max_tokens_per_microbatch=64)
    rows = [Demonstration(np.full(4 + i, i, np.int32), 1) for i in range(9)]
    losses = asyncio.run(LearnerGroup(ranks, config).sft_losses(rows))
    assert sorted(losses) == [(float(i), 3 + i) for i in range(9)]
