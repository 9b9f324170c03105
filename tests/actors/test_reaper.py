"""No process outlives the driver, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from driver import wait_until

DRIVER = """
import subprocess, sys
from toolrl.actors.reaper import reaped
with reaped():
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    print(child.pid, flush=True)
    if sys.argv[1] == "wait":
        sys.stdin.read()
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("end", ["normal", "kill"])
def test_a_child_in_a_session_of_its_own_ends_with_the_driver(end):
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, "wait" if end == "kill" else "go"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = int(driver.stdout.readline())
    if end == "kill":
        assert alive(child)
        os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30)
    assert wait_until(lambda: not alive(child), 20)
