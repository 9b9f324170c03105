"""What processes of upstream's code have in common: how little of our environment they see, and that nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Final

_PASSED: Final = (
    "PATH", "LANG", "LC_ALL", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE",
)  # fmt: skip


def environment(*more: str) -> dict[str, str]:
    """Return the variables that such a process may see, with those named besides: no key and no token is among them."""
    return {name: os.environ[name] for name in (*_PASSED, *more) if name in os.environ}


def end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process that has a session of its own, its children included."""
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
