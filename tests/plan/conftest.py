"""Runs to plan: the shipped configurations of the paper, on clusters of any size, with settings changed."""

from pathlib import Path

import pytest

from toolrl.config.load import load as load_config
from toolrl.config.schema import RlConfig
from toolrl.plan.hardware import read_cluster
from toolrl.plan.plan import Plan
from toolrl.plan.roofline import Efficiencies
from toolrl.plan.shapes import shape_of
from toolrl.plan.workload import Workload

CONF = Path(__file__).parents[2] / "conf"
APART = ("cluster.colocated=false", "weights.backend=nccl")
INSTANT = dict.fromkeys(("layer_graph_s", "layer_eager_s", "scheduling_s", "all_reduce_s", "bucket_s", "push_s"), 0.0)
PERFECT = Efficiencies(training=1, forward=1, decoding=1, links=1, tail=1, **INSTANT)


@pytest.fixture
def load():
    """Return a function that makes a workload of `conf/tool_n1_SIZE.yaml`."""

    def make(size, *settings, cluster="4x8xH100", prompt=850, completion=100):
        config = load_config(RlConfig, [str(CONF / f"tool_n1_{size}.yaml"), *settings])
        return Workload(config, shape_of(config.model.path), read_cluster(cluster), prompt, completion)

    return make


@pytest.fixture
def plan(load):
    """Return a function that makes a plan; `perfect` reaches every figure of a data sheet and has no latency."""

    def make(*args, perfect=False, **kwargs):
        return Plan(load(*args, **kwargs), PERFECT if perfect else Efficiencies())

    return make


@pytest.fixture
def apart():
    """Settings that put engines and learner on GPUs of their own."""
    return APART
