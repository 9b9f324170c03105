"""Faults planted in real clusters and in a real run: `toolrl doctor` names the right culprit. With `make cluster-test`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import Driver, wait_until
from networks import HEAD, MARKS, WORKER, TwoNodes, ip

from toolrl.monitor.status import read_status

pytestmark = MARKS
DOCTOR = (sys.executable, "-m", "toolrl", "doctor", "--json")
FIXED = ("--node-manager-port=6500", "--object-manager-port=6501", "--min-worker-port=10002", "--max-worker-port=10200")
ANY_PORT = "32768-60999"
SKEW_S = 90
CLOCK = f"import time\nnow = time.time\ntime.time = lambda: now() + {SKEW_S}\n"
OTHER_TORCH = "Metadata-Version: 2.1\nName: torch\nVersion: 2.12.1\n"


class FaultyNodes(TwoNodes):
    """A cluster without a token, whose worker node has another clock and another torch, little shared memory, and a firewall."""

    def __init__(self, folder, **options):
        self._site = folder / "site"
        (self._site / "torch-2.12.1.dist-info").mkdir(parents=True)
        (self._site / "torch-2.12.1.dist-info" / "METADATA").write_text(OTHER_TORCH)
        (self._site / "sitecustomize.py").write_text(CLOCK)
        super().__init__(folder, **options)

    def _join(self, tag):
        super()._join(tag)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            "RAY_AUTH_MODE": "disabled"
        }
        # What goes from one port that was free to another is lost: Ray has its own below those.
        ip("-n", self.worker, "rule", "add", "ipproto", "tcp", "sport", ANY_PORT, "dport", ANY_PORT, "blackhole")

    def inside(self, namespace, *command):
        if namespace == self.worker:
            command = (
                "env",
                f"PYTHONPATH={self._site}",
                "sh",
                "-c",
                'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"',
                "sh",
                *command,
            )
        return super().inside(namespace, *command)

    def _start(self, namespace, *arguments):
        super()._start(namespace, *arguments, *FIXED)


def diagnosed(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def of_cluster(nodes):
    return diagnosed(nodes.inside(nodes.head, *DOCTOR, "--cluster", nodes.address), nodes.environment)


def culprits(report):
    return [finding["culprit"] for finding in report["findings"] if finding["severity"] != "note"]


def test_two_nodes_on_which_nothing_is_wrong(tmp_path_factory):
    nodes = TwoNodes(tmp_path_factory.mktemp("well"), head_cpus=1, worker_cpus=1)  # a short name: Ray's sockets lie below it
    try:
        code, report = of_cluster(nodes)
    finally:
        nodes.stop()
    assert (code, culprits(report)) == (0, []), report
    assert HEAD in report["facts"]["nodes"]
    assert WORKER in report["facts"]["nodes"]
    assert "Gloo, 16 MiB over 2 nodes: " in report["facts"]["all-reduce"]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    nodes = FaultyNodes(tmp_path_factory.mktemp("faulty"), head_cpus=1, worker_cpus=1)
    try:
        yield of_cluster(nodes)
    finally:
        nodes.stop()


@pytest.mark.parametrize(
    ("culprit", "said"),
    [
        (f"clock of node {WORKER}", f"is {SKEW_S}.0 s ahead"),
        (f"torch on nodes {HEAD}, {WORKER}", f"node {WORKER}: 2.12.1"),
        (f"ports of node {WORKER}", f"from {HEAD}: "),
        (f"shared memory of node {WORKER}", "is too small: 64 MiB"),
        ("Ray cluster", "asks for no token"),
    ],
    ids=["clock", "versions", "ports", "shared memory", "token"],
)
def test_a_fault_of_a_node(faulty, culprit, said):
    code, report = faulty
    assert code == 1
    (finding,) = (each for each in report["findings"] if each["culprit"] == culprit)
    assert any(said in text for text in (finding["what"], *finding["evidence"])), finding


def test_no_node_is_blamed_that_is_well(faulty):
    _, report = faulty
    assert not [each for each in culprits(report) if HEAD in each and WORKER not in each and not each.startswith("ports")], report


RUN = (
    "conf/demo.yaml", "run.steps=2000", "loop.prompts_per_batch=8", "sampling.n=4", "eval.prompts=8", "eval.every=1000",
    "checkpoint.every=5", "engine.num=1", "engine.max_num_seqs=64", "reward.deadline_s=30", "run.max_rewinds=9", "engine.health_every_s=5",
)  # fmt: skip


def lines(run):
    return (run / "metrics.jsonl").read_text().count("\n") if (run / "metrics.jsonl").exists() else 0


class RealRun:
    """A run of the demo that goes on for as long as it is asked to."""

    def __init__(self, folder):
        self.path = folder / "run"
        self.driver = Driver("rl", *RUN, f"run.dir={self.path}", log=folder / "log")
        self.advances(3)

    def advances(self, by):
        """Wait until it has made so many more versions, all its actors known."""
        start = lines(self.path)
        ready = wait_until(lambda: lines(self.path) >= start + by and self.is_known(), 240)
        assert ready, self.driver.log.read_text()

    def is_known(self):
        return all(each.pid for each in read_status(self.path).actors)

    def pid(self, name):
        return next(each.pid for each in read_status(self.path).actors if each.name == name)

    def core(self):
        engine = self.pid("engine-0")
        return next(pid for pid in _below(engine) if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def diagnosed(self):
        return diagnosed((*DOCTOR, str(self.path)))


def _below(pid):
    found = [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()]
    return found + [other for each in found for other in _below(each)]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    run = RealRun(tmp_path_factory.mktemp("real"))
    yield run
    run.driver.kill()
    wait_until(lambda: not run.driver.relatives(), 60)


def worst(run):
    code, report = run.diagnosed()
    assert code == 1, report
    return report["findings"][0]


def test_a_real_run_in_which_nothing_is_wrong(real):
    code, report = real.diagnosed()
    assert (code, culprits(report)) == (0, []), report


@pytest.mark.parametrize(("name", "core"), [("reward-0", False), ("engine-0", True)], ids=["reward worker", "engine core"])
def test_one_that_hangs(real, name, core):
    real.advances(2)
    pid = real.core() if core else real.pid(name)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    try:
        found = worst(real)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (found["culprit"], found["next"]) == (name, f"kill -CONT {pid}"), found


@pytest.mark.parametrize("name", ["engine-0", "learner-1"])
def test_one_that_dies(real, name):
    real.advances(2)
    os.kill(real.pid(name), signal.SIGKILL)
    time.sleep(3)
    found = worst(real)
    assert found["culprit"] == name, found


def test_the_driver_killed(real):
    real.advances(2)
    real.driver.kill()
    found = worst(real)
    assert found["culprit"] == "driver", found
    assert "without a word" in found["what"]
