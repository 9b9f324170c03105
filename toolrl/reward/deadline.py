"""A deadline for a user's reward, in its own process: an alarm that interrupts it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class LateError(BaseException):
    """The time is up. Not an Exception, so that what a user's function catches does not keep it running."""


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Raise LateError inside the body once `seconds` are over; None, or outside the main thread: never.

    Python runs the handler between two of its instructions: a single call into C that never returns is not interrupted.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise LateError(f"no verdict within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
