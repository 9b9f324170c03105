"""Runs of `toolrl` as a user starts them: in a process of their own, with a Ray cluster of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

MARK = "TOOLRL_TEST_MARK"
START_S = 300


class Driver:
    """A `toolrl` process whose children can be told from everybody else's."""

    def __init__(self, *arguments: str, log: Path, script: Sequence[str] = ("-m", "toolrl"), own_group: bool = False) -> None:
        self.mark = uuid.uuid4().hex
        self.log = log
        environment = {**os.environ, MARK: self.mark, "HF_HUB_OFFLINE": "1"}
        with log.open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, *script, *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=own_group,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job, as CI may be, ignores it
            )
        self.pid = self._process.pid

    def wait(self, timeout_s: float = START_S) -> int:
        """Return the exit code; a process past the limit is killed, and its log is shown."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(f"still running after {timeout_s} s:\n{self.log.read_text()}") from error

    def kill(self) -> None:
        """Kill −9 the driver alone."""
        self._process.kill()
        self._process.wait()

    def interrupt(self) -> None:
        """Send what Ctrl-C sends, to the driver and whoever shares its group; for a driver with `own_group`."""
        os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> None:
        """Send SIGTERM to the driver alone, as a scheduler does."""
        self._process.terminate()

    def running(self) -> bool:
        return self._process.poll() is None

    def relatives(self) -> dict[int, str]:
        """Processes that inherited the mark, the driver's own children's children included, with their command lines."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
            except OSError:  # it ended meanwhile, or is not ours to read
                continue
        return found


def wait_until(condition, timeout_s: float) -> bool:
    """Poll `condition` until it holds; False past the limit."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(0.1)
    return True
