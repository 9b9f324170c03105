"""An engine on one node, the learner on the other, and a dashboard that shows both: `make cluster-test`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from networks import DASHBOARD_PORT, HEAD, MARKS, WORKER, TwoNodes

pytestmark = MARKS
STEPS = 2
SETTINGS = (
    "conf/demo.yaml", f"run.steps={STEPS}", "engine.cpus=2", "engine.threads=1", "loop.prompts_per_batch=8", "sampling.n=4",
    "eval.prompts=8",
)  # fmt: skip
NODES = {"head_cpus": 1, "worker_cpus": 2, "dashboard": True}
"""The engine fills the second; two ranks and two reward workers fill the first."""
ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""
"""Run on the head's node: the dashboard is not to be reached from anywhere else."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    two = TwoNodes(tmp_path_factory.mktemp("nodes"), **NODES)
    yield two
    two.stop()


def asked(nodes, path):
    """Return what the dashboard answers to the page that asks for `path`; None while it does not."""
    url = f"http://{HEAD}:{DASHBOARD_PORT}{path}"
    command = nodes.inside(nodes.head, sys.executable, "-c", ASK, url, nodes.environment["RAY_AUTH_TOKEN"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def shown(nodes):
    """Return what the dashboard shows: the addresses of living nodes, and of the living actors their class and address."""
    summary, actors = asked(nodes, "/nodes?view=summary"), asked(nodes, "/logical/actors")
    if not summary or not actors:
        return set(), set()
    living = {node["ip"] for node in summary["data"]["summary"] if node["raylet"]["state"] == "ALIVE"}
    placed = {
        (actor["actorClass"], actor["address"]["ipAddress"]) for actor in actors["data"]["actors"].values() if actor["state"] == "ALIVE"
    }
    return living, placed


def test_weights_are_pushed_from_node_to_node_and_the_dashboard_shows_both(nodes, tmp_path):
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = ["-m", "toolrl", "rl", *SETTINGS, f"cluster.address={nodes.address}", f"run.dir={run}"]
    with log.open("w") as out:
        command = nodes.inside(nodes.head, sys.executable, *arguments)
        driver = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=nodes.environment)
    nodes_shown, actors_shown = set(), set()
    while driver.poll() is None:
        living, placed = shown(nodes)
        nodes_shown |= living
        actors_shown |= placed
        try:
            driver.wait(1)
        except subprocess.TimeoutExpired:
            continue
    assert driver.returncode == 0, log.read_text()
    assert nodes_shown == {HEAD, WORKER}
    assert actors_shown == {("EngineActor", WORKER), ("LearnerActor", HEAD), ("RewardActor", HEAD)}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["version"] for line in lines] == list(range(STEPS + 1))
    assert all(0 < line["weights/parity_max_abs_dlogp"] < 1e-4 for line in lines)
