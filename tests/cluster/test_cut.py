"""A node that is cut off in the middle of a run takes its engine with it and nothing else: `make cluster-test`."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from networks import MARKS, TwoNodes

from toolrl.cli.main import main

pytestmark = MARKS
STEPS = 12
CUT_AT = 3
SETTINGS = (
    "conf/demo.yaml", f"run.steps={STEPS}", "engine.num=2", "engine.cpus=2", "engine.threads=1", "loop.max_staleness=1",
    "loop.prompts_per_batch=8", "sampling.n=4", "eval.prompts=8", "weights.timeout_s=10", "engine.health_every_s=2",
    "engine.health_timeout_s=10", "engine.start_timeout_s=120", "engine.max_restarts=1",
)  # fmt: skip
NODES = {"head_cpus": 3, "worker_cpus": 2}
"""One engine has room on the second, nothing else; the other one, the ranks and the reward workers fill the first."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    two = TwoNodes(tmp_path_factory.mktemp("nodes"), **NODES)
    yield two
    two.stop()


def versions(run):
    path = run / "metrics.jsonl"
    return [json.loads(line)["version"] for line in path.read_text().splitlines()] if path.exists() else []


def test_the_run_ends_without_the_engine_of_a_node_that_was_cut_off(nodes, tmp_path, capsys):
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = ["-m", "toolrl", "rl", *SETTINGS, f"cluster.address={nodes.address}", f"run.dir={run}"]
    with log.open("w") as out:
        command = nodes.inside(nodes.head, sys.executable, *arguments)
        driver = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=nodes.environment)
    end = time.monotonic() + 300
    while driver.poll() is None and max(versions(run), default=0) < CUT_AT:
        assert time.monotonic() < end, log.read_text()
        threading.Event().wait(0.05)
    assert driver.poll() is None, log.read_text()
    assert any("EngineCore" in line for line in nodes.processes(nodes.worker))
    nodes.cut()
    assert driver.wait(400) == 0, log.read_text()
    assert versions(run) == list(range(STEPS + 1))
    rows = [row for path in (run / "rollouts").glob("version-*.parquet") for row in pq.read_table(path).to_pylist()]
    engines = {version: {row["engine"] for row in rows if row["version"] == version} for version in range(1, STEPS + 1)}
    assert set.union(*(engines[version] for version in range(1, CUT_AT + 1))) == {"engine-0", "engine-1"}
    assert len(engines[STEPS]) == 1
    assert "is replaced (1 of 1)" in log.read_text()
    assert main(["audit", str(run)]) == 0, capsys.readouterr().out
