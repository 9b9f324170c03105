"""No process outlives the driver, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import wait_until

from toolrl.actors.reaper import MARK, reaped

DRIVER = """
import subprocess, sys
from pathlib import Path
from toolrl.actors.reaper import reaped
with reaped(Path(sys.argv[3]) if sys.argv[3:] else None):
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], start_new_session=True, stdout=subprocess.PIPE, text=True)
    print(child.pid, child.stdout.readline(), flush=True)
    if sys.argv[1] == "wait":
        sys.stdin.read()
"""

PLAIN = "import signal; print(0, flush=True); signal.pause()"
AGENT = """
import os, subprocess, sys, time
environment = {name: value for name, value in os.environ.items() if name != "TOOLRL_CLUSTER"}
agent = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True, env=environment)
print(agent.pid, flush=True)
time.sleep(3)
"""
"""A child that dies before the driver and leaves a grandchild without the mark, as Ray's agents are once they have set their title."""

SEMAPHORE = """
import multiprocessing, multiprocessing.resource_tracker as trackers, signal
semaphore = multiprocessing.get_context("spawn").Semaphore()
open("PATH", "w").write(semaphore._semlock.name)
print(trackers._resource_tracker._pid, flush=True)
signal.pause()
"""
"""A child with a semaphore, and Python's tracker that unlinks it once the child has ended."""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start(end, child, *folder):
    """Start a driver; return it, its child, and the number that the child prints."""
    command = [sys.executable, "-c", DRIVER, end, child, *folder]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return driver, *map(int, driver.stdout.readline().split())


@pytest.mark.parametrize("end", ["normal", "kill"])
def test_a_child_in_a_session_of_its_own_ends_with_the_driver(end):
    driver, child, _ = start("wait" if end == "kill" else "go", PLAIN)
    if end == "kill":
        assert alive(child)
        os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30)
    assert wait_until(lambda: not alive(child), 20)


@pytest.mark.parametrize("end", ["normal", "kill"])
def test_the_folder_of_the_processes_ends_with_them(end, tmp_path):
    (tmp_path / "mine" / "sockets").mkdir(parents=True)
    driver, _, _ = start("wait" if end == "kill" else "go", PLAIN, str(tmp_path / "mine"))
    if end == "kill":
        assert (tmp_path / "mine").exists()
        os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30)
    assert wait_until(lambda: not (tmp_path / "mine").exists(), 20)
    assert tmp_path.exists()


def test_an_orphan_that_lost_the_mark_ends_with_the_driver():
    driver, child, orphan = start("wait", AGENT)
    assert wait_until(lambda: not alive(child), 20)  # 3 s: it was seen, and then it left the orphan
    assert alive(orphan)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30)
    assert wait_until(lambda: not alive(orphan), 20)


def test_what_the_killed_left_in_shared_memory_is_unlinked(tmp_path):
    driver, child, tracker = start("wait", SEMAPHORE.replace("PATH", str(tmp_path / "name")))
    semaphore = Path("/dev/shm") / f"sem.{(tmp_path / 'name').read_text()[1:]}"
    assert semaphore.exists()
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30)
    assert wait_until(lambda: not alive(child) and not alive(tracker), 20)
    assert not semaphore.exists()


def test_semaphores_whose_tracker_was_killed_are_unlinked_too(tmp_path):
    """As Ray kills the children of its workers."""
    driver, child, tracker = start("wait", SEMAPHORE.replace("PATH", str(tmp_path / "name")))
    semaphore = Path("/dev/shm") / f"sem.{(tmp_path / 'name').read_text()[1:]}"
    os.kill(tracker, signal.SIGKILL)
    assert semaphore.exists()
    driver.kill()
    driver.wait(30)
    assert wait_until(lambda: not alive(child) and not semaphore.exists(), 20)


def test_a_stranger_is_left_alone():
    stranger = subprocess.Popen([sys.executable, "-c", PLAIN], stdout=subprocess.PIPE, text=True)
    stranger.stdout.readline()
    driver, child, _ = start("wait", PLAIN)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30)
    assert wait_until(lambda: not alive(child), 20)
    assert alive(stranger.pid)
    stranger.kill()
    stranger.wait()


def test_bodies_may_nest():
    with reaped():
        outer = os.environ[MARK]
        with reaped():
            assert os.environ[MARK] != outer
        assert os.environ[MARK] == outer
    assert MARK not in os.environ
