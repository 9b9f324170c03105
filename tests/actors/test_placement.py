"""What a run asks of a cluster, and what it is told where that is short."""

from dataclasses import replace

import pytest

from toolrl.actors.placement import Bundle, Node, bundles_of, fit
from toolrl.config.load import load
from toolrl.config.schema import ClusterConfig, RlConfig
from toolrl.errors import PlacementError


def config(*overrides):
    return load(RlConfig, ["model.path=m", "data.train=t", *overrides])


def test_on_cpu_each_actor_has_its_own_bundle():
    bundles = bundles_of(config("engine.num=2", "learner.num_ranks=2", "reward.workers=1"))
    assert [b.roles for b in bundles] == [("engine-0",), ("engine-1",), ("learner-0",), ("learner-1",), ("reward-0",)]
    assert {b.gpus for b in bundles} == {0}


def test_colocated_ranks_share_the_bundle_of_their_engine():
    settings = config("engine.num=2", "engine.tensor_parallel=2", "learner.num_ranks=4", "reward.workers=1", "learner.cpus_per_rank=0.5")
    bundles = bundles_of(replace(settings, cluster=ClusterConfig(device="cuda", colocated=True)))
    assert bundles[0] == Bundle(2.0, 2, ("engine-0", "learner-0", "learner-1"))
    assert bundles[1] == Bundle(2.0, 2, ("engine-1", "learner-2", "learner-3"))


def test_disaggregated_engines_and_ranks_have_their_own_gpus():
    gpu = ("cluster.device=cuda", "weights.backend=nccl", "engine.num=1", "engine.tensor_parallel=4", "learner.num_ranks=4")
    assert sum(b.gpus for b in bundles_of(config(*gpu))) == 8


def test_a_bundle_is_never_split_over_nodes():
    bundles = [Bundle(1, 4, ("engine-0",)), Bundle(1, 4, ("engine-1",)), Bundle(1, 4, ("engine-2",))]
    placement = fit(bundles, [Node("a", 8, 6), Node("b", 8, 6)])
    assert placement.node_of == (0, 1, None)
    assert not placement.fits


def test_fractions_that_sum_to_a_whole_fit():
    assert fit([Bundle(0.1, 0, (f"r{i}",)) for i in range(20)], [Node("a", 2.0, 0)]).fits


def test_too_small_a_cluster_is_a_table_of_asked_there_and_short():
    placement = fit([Bundle(3, 2, ("engine-0",)), Bundle(1, 0, ("reward-0",))], [Node("a", 2, 1)])
    with pytest.raises(PlacementError) as caught:
        placement.require_fit()
    text = str(caught.value)
    assert "CPUs: asked 4, there 2, short 2" in text
    assert "GPUs: asked 2, there 1, short 1" in text
    assert "engine-0: 3 CPU, 2 GPU, no room on any node" in text
    assert "reward-0: 1 CPU, 0 GPU, on a" in text
