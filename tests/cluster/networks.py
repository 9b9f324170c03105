"""Two machines on one: network namespaces joined by a cable, each with a Ray node of its own. Needs root.

Files, shared memory and processors are still the same; addresses are not, so nothing that means "this machine" reaches the other.
"""

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

HEAD, WORKER = "10.213.77.1", "10.213.77.2"
PORT, DASHBOARD_PORT = 6399, 8299
START_S = 60


def available():
    """Whether namespaces can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") and subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0


MARKS = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not available(), reason="makes network namespaces, which takes root and `ip`"),
]
"""Of every test that wants two nodes."""


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class TwoNodes:
    """A Ray head and a Ray worker node, with `head_cpus` and `worker_cpus`; with the dashboard where it is asked for."""

    def __init__(self, folder: Path, *, head_cpus: float, worker_cpus: float, dashboard: bool = False) -> None:
        tag = uuid.uuid4().hex[:6]
        self.address = f"{HEAD}:{PORT}"
        self.environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2}
        self.head, self.worker = f"toolrl-{tag}-a", f"toolrl-{tag}-b"
        self._nodes = []
        self._folder = folder
        try:
            self._join(tag)
            common = ("--disable-usage-stats", "--block", "--object-store-memory=200000000")
            head = (f"--node-ip-address={HEAD}", f"--port={PORT}", f"--num-cpus={head_cpus}")
            shown = (f"--include-dashboard={str(dashboard).lower()}", f"--dashboard-host={HEAD}", f"--dashboard-port={DASHBOARD_PORT}")
            self._start(self.head, "--head", *head, *shown, f"--temp-dir={folder / 'ray'}", *common)
            self._start(self.worker, f"--address={self.address}", f"--node-ip-address={WORKER}", f"--num-cpus={worker_cpus}", *common)
        except BaseException:
            self.stop()
            raise

    def inside(self, namespace, *command):
        """Return the command line that runs `command` on a node."""
        return ["ip", "netns", "exec", namespace, *command]

    def processes(self, namespace):
        """Command lines of what runs on a node."""
        pids = subprocess.run(["ip", "netns", "pids", namespace], check=True, capture_output=True, text=True).stdout.split()
        found = []
        for pid in pids:
            try:
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
            except OSError:  # it ended meanwhile
                continue
        return found

    def cut(self):
        """Pull the cable: what is on its way is lost, and nobody is told."""
        ip("-n", self.worker, "link", "set", self._ends[self.worker][0], "down")

    def stop(self):
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                node.kill()
        for namespace in (self.head, self.worker):
            pids = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True).stdout.split()
            for pid in pids:  # what a node leaves behind
                subprocess.run(["kill", "-9", pid], capture_output=True)
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)

    def _join(self, tag):
        self._ends = ends = {self.head: (f"tr{tag}a", HEAD), self.worker: (f"tr{tag}b", WORKER)}
        for namespace in ends:
            ip("netns", "add", namespace)
        names = [name for name, _ in ends.values()]
        ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
        for namespace, (name, address) in ends.items():
            ip("link", "set", name, "netns", namespace)
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", name)
            ip("-n", namespace, "link", "set", name, "up")
            ip("-n", namespace, "link", "set", "lo", "up")

    def _start(self, namespace, *arguments):
        log = self._folder / f"{namespace}.log"
        ray = str(Path(sys.executable).with_name("ray"))
        with log.open("w") as out:
            node = subprocess.Popen(
                self.inside(namespace, ray, "start", *arguments), stdout=out, stderr=subprocess.STDOUT, env=self.environment
            )
        self._nodes.append(node)
        end = time.monotonic() + START_S
        while "--block" not in log.read_text():  # it says so once the node is up
            assert node.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
