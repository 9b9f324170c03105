"""A server as a process of its own: started, waited for, watched, and ended with all it started.

started ─> child in a session of its own ─ /health answers ─> yield … ─> SIGTERM ─ a while ─> SIGKILL to the whole session
               └─ its lines ─> the last of them kept for the message of a failure, each told to whoever asks
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from urllib.parse import urlsplit

from toolrl.errors import DeadlineError, RunError
from toolrl.serving.settings import ServerSettings

POLL_S = 0.25
END_S = 20.0
"""How long the server may take to end by itself."""
LAST_LINES = 25
LINE_CHARS = 300


class Server:
    """A server that is ready, until it ends.

    Args:
        settings: What it was started with.
        process: Its process.
    """

    def __init__(self, settings: ServerSettings, process: subprocess.Popen[str]) -> None:
        self.url = settings.url
        """Where an OpenAI client finds it, as in http://127.0.0.1:8000/v1."""
        self.model = settings.name
        """What requests call the model."""
        self._process = process
        self._last = deque[str](maxlen=LAST_LINES)
        self._ready = Event()

    def require_alive(self) -> None:
        """Raise RunError with its last lines where the process has ended."""
        if (code := self._process.poll()) is not None:
            raise RunError(f"the server ended (exit code {code}){self._told()}")

    def wait(self) -> None:
        """Wait until the process ends by itself, which it should not: raises RunError then."""
        while True:
            self.require_alive()
            time.sleep(POLL_S)

    def _follow(self, tell: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._last.append(line.rstrip()[:LINE_CHARS])
            if self._ready.is_set():  # what it says at its start and at its end is of interest only where they fail
                with suppress(OSError):  # where nobody hears us any more, the server must still be heard: else it stops at a full pipe
                    tell(line.rstrip())

    def _await_ready(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while not _answers(self.url):
            self.require_alive()
            if time.monotonic() > end:
                raise DeadlineError(f"the server was not ready within engine.start_timeout_s={timeout_s:g} s{self._told()}")
            time.sleep(POLL_S)
        self._ready.set()

    def _told(self) -> str:
        lines = [line for line in self._last if line]
        return "; its last lines:\n" + "\n".join(f"  {line}" for line in lines) if lines else "; it said nothing"


@contextmanager
def started(settings: ServerSettings, *, key: str = "", tell: Callable[[str], None] = lambda _: None) -> Iterator[Server]:
    """Start a server, yield it when it is ready, and end it.

    Args:
        settings: What it is.
        key: What requests must bring; empty: nothing.
        tell: Told each line that it prints while it is ready, from another thread.

    Raises:
        RunError: It ended before it was ready. The message has its last lines.
        DeadlineError: It was not ready in time.
    """
    with TemporaryDirectory(prefix="toolrl-serve-") as folder:
        settings.write(Path(folder))
        process = subprocess.Popen(
            [sys.executable, *settings.arguments(Path(folder))],
            env=settings.variables(key),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is ours to pass on, and the session is what is ended
        )
        server = Server(settings, process)
        follower = Thread(target=server._follow, args=(tell,), name="lines of the server", daemon=True)
        follower.start()
        try:
            server._await_ready(settings.start_timeout_s)
            yield server
        finally:
            server._ready.clear()
            _end(process)
            follower.join(END_S)


def _answers(url: str) -> bool:
    """Whether the server says that it is healthy."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):  # it does not listen yet
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and its session; asks first. An interrupt meanwhile ends it at once."""
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
    finally:
        with suppress(ProcessLookupError):  # nobody is left in the session
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
