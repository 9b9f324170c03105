"""What the long trials have in common: a run of `toolrl` watched from outside, its turn on the machine, and the report of a trial."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

import family
from family import Family, Places

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import MARK, Driver, wait_until

ROOT = Path(__file__).parents[2]
GONE_S = 30.0
"""Longest time after the end of a driver until no process of its run is left."""


class Workplace:
    """Where a trial has its runs, and the `TMPDIR` of what it starts; both are removed at the end, unless they are kept."""

    def __init__(self, name, *, keep=False):
        self.folder = Path(tempfile.mkdtemp(prefix=f"toolrl-{name}-"))
        self._temporary = Path(tempfile.mkdtemp(prefix="t-", dir=family.TEMPORARY))  # short: a socket's path has at most 107 bytes
        self._keep = keep

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self._temporary, ignore_errors=True)
        if self._keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, *arguments, own_group=False):
        """Start `toolrl` with `arguments`, and watch it; what it prints goes to the file `name`.log."""
        os.environ["TMPDIR"] = str(self._temporary)
        return Watched(arguments, self.folder / f"{name}.log", Places(self._temporary), own_group=own_group)


class Watched:
    """A run that is on: its driver, its processes, and what was there before it."""

    def __init__(self, arguments, log, places, *, own_group):
        self.places = places
        self.started = time.monotonic()
        self.driver = Driver(*arguments, log=log, own_group=own_group)
        self.family = Family(self.driver.pid, f"{MARK}={self.driver.mark}")
        self.ports = set()

    @property
    def text(self):
        """What it has printed so far."""
        return self.driver.log.read_text()

    def end(self):
        """Wait for every process to end, and return what is left: seconds it took, processes, ports, files."""
        ended = time.monotonic()
        clean = wait_until(lambda: not self.family.alive(), GONE_S)
        seconds = time.monotonic() - ended
        self.family.__exit__()
        return {
            "gone_s": round(seconds, 1),
            "processes": [] if clean else sorted(self.family.alive().values()),
            "ports": sorted(self.ports & family.open_ports()),
            "files": self.places.new(),
        }


@contextmanager
def turn(lock):
    """Hold the file `lock`, where several share a machine that has room for one; None: nobody else is there."""
    if lock is None:
        yield
        return
    with open(lock, "a") as file:
        flock(file, LOCK_EX)
        yield


def lines(run):
    """Return the lines of metrics that are complete."""
    texts = (run / "metrics.jsonl").read_text().split("\n")[:-1] if (run / "metrics.jsonl").exists() else []
    return [json.loads(text) for text in texts]


def problems_of(left):
    """Return in words what `Watched.end` found."""
    said = []
    if left["processes"]:
        said.append(f"left behind after {GONE_S:g} s: {left['processes']}")
    if left["ports"]:
        said.append(f"ports still open: {left['ports']}")
    if left["files"]:
        said.append(f"files left: {left['files']}")
    return said


def audit(run):
    """Return what `toolrl audit` finds wrong with a run."""
    done = subprocess.run([sys.executable, "-m", "toolrl", "audit", str(run)], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"toolrl audit: {(done.stdout + done.stderr).strip()[-600:]}"]


def circumstances():
    """Return what a report was made of and on."""
    git = ("git", "-C", str(ROOT))
    commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "toolrl", "conf"], check=False).returncode != 0
    return {"commit": commit + (" with changes" if changed else ""), "cpus": os.cpu_count(), "python": platform.python_version()}


def write(report, path):
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
