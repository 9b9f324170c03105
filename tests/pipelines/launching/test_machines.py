"""The smallest machines that hold a placement, and the table where they do not."""

import pytest

from toolrl.actors.placement import Bundle, bundles_of
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import ConfigError, PlacementError
from toolrl.pipelines.launching.machines import machines_for


def size(machines):
    return machines.nodes, machines.gpus, machines.cpus


def of(path):
    return bundles_of(load(RlConfig, [path]))


def test_the_papers_run_fills_four_nodes_of_eight():
    # 16 bundles of 2 GPUs and 4 CPUs, and 16 reward workers of half a CPU: 32 GPUs, 72 CPUs; one CPU of each node is the driver's and Ray's
    machines = machines_for(of("conf/tool_n1_7b.yaml"), 4, gpus=None, cpus=None)
    assert size(machines) == (4, 8, 18 + 1)
    assert machines.idle == 0
    assert machines.table().splitlines() == [
        "  CPUs: asked 72, there 72, short 0",
        "  GPUs: asked 32, there 32, short 0",
        "  node 0 to 3: 4 × (engine, 2 learners), 4 rewards",
    ]


def test_a_bundle_is_not_split_over_nodes():
    # three pairs of GPUs on two nodes: one node has two of them
    assert size(machines_for([Bundle(1.0, 2, (f"engine-{i}",)) for i in range(3)], 2, gpus=None, cpus=None)) == (2, 4, 2 + 1)


def test_a_run_without_gpus_asks_for_none():
    # the demo: 1 CPU for the engine, 2 × 0.4 for ranks, 2 × 0.1 for reward workers
    assert size(machines_for(of("conf/demo.yaml"), 1, gpus=None, cpus=None)) == (1, 0, 2 + 1)


def test_nodes_that_have_nothing_to_do_are_counted():
    assert machines_for(of("conf/demo.yaml"), 3, gpus=None, cpus=3).idle == 2


def test_what_is_short_is_told_with_numbers():
    with pytest.raises(PlacementError) as error:
        machines_for(of("conf/tool_n1_7b.yaml"), 2, gpus=None, cpus=None)
    first, gpus, room, remedy = str(error.value).splitlines()
    assert first == "too small for this run: 2 × 8 GPUs"
    assert gpus == "  GPUs: asked 32, there 16, short 16"
    assert room.startswith("  no room for 8 of 32 bundles: engine-8, learner-16, learner-17; ")
    assert "--nodes" in remedy


def test_too_few_cpus_are_told_too():
    with pytest.raises(PlacementError, match="4 × 8 GPUs and 9 CPUs, of which 1 is the driver's and Ray's") as error:
        machines_for(of("conf/tool_n1_7b.yaml"), 4, gpus=None, cpus=9)
    assert "  CPUs: asked 72, there 32, short 40" in str(error.value)


def test_numbers_that_make_no_sense_are_told_together():
    with pytest.raises(ConfigError) as error:
        machines_for(of("conf/demo.yaml"), 0, gpus=-1, cpus=1)
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["--nodes", "--gpus-per-node", "--cpus-per-node"]
