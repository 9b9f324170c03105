"""A run over two nodes, an engine of two workers and a learner rank on each: `make cluster-test`."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from networks import MARKS, TwoNodes

pytestmark = MARKS
STEPS = 2
SETTINGS = (
    "conf/demo.yaml", f"run.steps={STEPS}", "engine.num=2", "engine.tensor_parallel=2", "engine.cpus=2.2", "engine.threads=1",
    "learner.num_ranks=2", "learner.sequence_parallel=2", "learner.minibatches=2", "learner.cpus_per_rank=1.5",
    "loop.prompts_per_batch=8", "sampling.n=4", "eval.prompts=8",
)  # fmt: skip
NODES = {"head_cpus": 4, "worker_cpus": 4}
"""Neither has room for two engines, nor for an engine and two ranks."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    two = TwoNodes(tmp_path_factory.mktemp("nodes"), **NODES)
    yield two
    two.stop()


def test_engines_and_ranks_on_two_nodes_sample_train_and_push(nodes, tmp_path):
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = ["-m", "toolrl", "rl", *SETTINGS, f"cluster.address={nodes.address}", f"run.dir={run}"]
    with log.open("w") as out:
        command = nodes.inside(nodes.head, sys.executable, *arguments)
        driver = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=nodes.environment)
    seen = {node: {"Worker_TP": 0, "ray::LearnerActor": 0} for node in (nodes.head, nodes.worker)}
    while driver.poll() is None:
        for node, most in seen.items():
            running = nodes.processes(node)
            seen[node] = {what: max(num, sum(what in line for line in running)) for what, num in most.items()}
        try:
            driver.wait(1)
        except subprocess.TimeoutExpired:
            continue
    assert driver.returncode == 0, log.read_text()
    assert all(most == {"Worker_TP": 2, "ray::LearnerActor": 1} for most in seen.values()), seen
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["version"] for line in lines] == list(range(STEPS + 1))
    assert all(0 < line["weights/parity_max_abs_dlogp"] < 1e-4 for line in lines)
    assert all(line["learner/grad_norm"] > 0 for line in lines[1:])
    rows = [row for path in (run / "rollouts").glob("version-*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["engine"] for row in rows} == {"engine-0", "engine-1"}
