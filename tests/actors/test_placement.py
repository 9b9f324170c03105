"""What a run asks of a cluster, and what it is told where that is short."""

from dataclasses import replace

import pytest

from toolrl.actors.placement import Bundle, Node, arranged, bundles_of, fit
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


def four_nodes():
    """The paper's machine: 4 nodes of 8 GPUs, engines over two of them each."""
    shape = ("engine.num=16", "engine.tensor_parallel=2", "learner.num_ranks=32", "reward.workers=16", "learner.cpus_per_rank=1")
    colocated = ("cluster.device=cuda", "cluster.colocated=true", "weights.backend=ipc")
    return bundles_of(config(*shape, *colocated)), [Node(f"node-{i}", 64.0, 8.0) for i in range(4)]


def test_sixteen_engines_and_thirty_two_ranks_fill_four_nodes_of_eight_gpus():
    bundles, nodes = four_nodes()
    placement = fit(bundles, nodes)
    assert placement.fits
    shared = [bundle for bundle in bundles if bundle.gpus]
    assert len(shared) == 16
    assert [role for bundle in shared for role in bundle.roles if role.startswith("learner")] == [f"learner-{i}" for i in range(32)]
    assert [bundle.roles[0] for bundle in shared] == [f"engine-{i}" for i in range(16)]
    for node in range(4):
        assert sum(bundle.gpus for bundle, on in zip(bundles, placement.node_of, strict=True) if on == node) == 8
    assert sum(bundle.roles[0].startswith("reward") for bundle in bundles) == 16
    assert not fit(bundles, nodes[:3]).fits


def learners_by_node(placement, granted_on):
    found = {}
    for bundle, node in zip(placement.bundles, granted_on, strict=True):
        found.setdefault(node, []).extend(int(role[8:]) for role in bundle.roles if role.startswith("learner"))
    return {node: sorted(ranks) for node, ranks in found.items()}


def test_wherever_the_bundles_land_the_ranks_of_a_node_are_consecutive():
    bundles, nodes = four_nodes()
    granted_on = [f"node-{i % 4}" for i in range(len(bundles))]  # dealt round, as a spreading scheduler would
    placement = arranged(fit(bundles, nodes), granted_on)
    assert learners_by_node(placement, granted_on) == {f"node-{i}": list(range(8 * i, 8 * i + 8)) for i in range(4)}


def test_roles_are_dealt_among_bundles_that_ask_for_the_same_and_stay_together():
    bundles = (Bundle(1, 1, ("learner-0",)), Bundle(2, 1, ("engine-0",)), Bundle(1, 1, ("learner-1",)), Bundle(1, 1, ("learner-2",)))
    placement = arranged(fit(bundles, [Node("a", 9, 9)]), ["a", "b", "b", "a"])
    assert [bundle.roles for bundle in placement.bundles] == [("learner-0",), ("engine-0",), ("learner-2",), ("learner-1",)]
    assert [(bundle.cpus, bundle.gpus) for bundle in placement.bundles] == [(b.cpus, b.gpus) for b in bundles]
