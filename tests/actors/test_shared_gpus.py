"""Ray really places the actors of a colocated run: counted GPUs are enough, no driver is asked. Each engine sees those of its ranks."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.stack

DRIVER = """
import asyncio, os
import ray
from ray.cluster_utils import Cluster
from toolrl.actors.cluster import granted, nodes_of, options_for
from toolrl.actors.placement import Bundle, Node, arranged, fit
from toolrl.actors.start import gpus_of, visible

class Rank:
    def gpus(self):
        return [str(gpu) for gpu in ray.get_gpu_ids()]
    def sees(self):
        return os.environ["CUDA_VISIBLE_DEVICES"], ray.get_runtime_context().get_node_id()

def actor(role, gpus, env):
    options = options_for(role, placement, group, cpus=0.5, gpus=gpus, env=env)
    return ray.remote(Rank).options(**options).remote()

cluster = Cluster()
for _ in range(2):
    cluster.add_node(num_cpus=4, num_gpus=4, object_store_memory=100 * 2**20, include_dashboard=False)
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
roles = [(f"engine-{i}", f"learner-{2 * i}", f"learner-{2 * i + 1}") for i in range(4)]
placement = fit([Bundle(1.5, 2, each) for each in roles], [Node("a", 4, 4), Node("b", 4, 4)])
placement.require_fit()
with granted(placement, timeout_s=30) as group:
    placement = arranged(placement, nodes_of(group))
    ranks = [actor(f"learner-{i}", 1, {}) for i in range(8)]
    shared = asyncio.run(gpus_of(ranks, 2, timeout_s=60))
    engines = [actor(f"engine-{i}", 0, visible(shared[i])) for i in range(4)]
    of_ranks, of_engines = ray.get([r.sees.remote() for r in ranks]), ray.get([e.sees.remote() for e in engines])
    for i, (gpus, node) in enumerate(of_engines):
        assert gpus.split(",") == [of_ranks[2 * i][0], of_ranks[2 * i + 1][0]], (of_ranks, of_engines)
        assert {node} == {of_ranks[2 * i][1], of_ranks[2 * i + 1][1]}, (of_ranks, of_engines)
    nodes = [node for _, node in of_ranks]
    assert len(set(of_ranks)) == 8, of_ranks
    assert len({*nodes[:4]}) == len({*nodes[4:]}) == 1, nodes
    print("every engine sees the GPUs of its ranks")
ray.shutdown()
cluster.shutdown()
"""


def test_an_engine_sees_the_gpus_of_its_ranks_and_ranks_of_a_node_are_consecutive():
    env = os.environ | {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}  # as on clusters that want GPUs hidden from who asks for none
    env.pop("CUDA_VISIBLE_DEVICES", None)
    done = subprocess.run([sys.executable, "-c", DRIVER], env=env, capture_output=True, text=True, timeout=240, check=False)
    assert "every engine sees the GPUs of its ranks" in done.stdout, done.stdout + done.stderr
