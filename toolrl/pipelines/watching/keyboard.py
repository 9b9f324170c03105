"""Keys as they are pressed, without Enter: the terminal is put back as it was however the watching ends.

Keyboard(0) ─> no echo, no line editing, no Ctrl-Z (a stopped watcher would leave the terminal so)
wait(1.0)   ─> ["down"]; returns at once, too, when the window changes its size
the end     ─> as it was: also after an error, Ctrl-C, and SIGTERM, SIGHUP or SIGQUIT, which end the body as an exception
"""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

QUIT: Final = "q"
LOOK_S = 0.2
"""Between two looks at the size of the window. A handler of SIGWINCH would tell of it at once, and cut what is being written to a slow
terminal: the buffered writer of Python 3.11 loses the rest of a write that a signal with a handler of Python's interrupts."""
_NAMES = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
_ARROW = re.compile(rb"\x1b[\[O]([ABCD])")
_SEQUENCE = re.compile(rb"\x1b(?:[\[O][0-?]*[ -/]*[@-~]|\[?O?[0-?]*$|.)", re.DOTALL)
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Keyboard:
    """The keys of a terminal.

    Args:
        descriptor: A file that is a terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._descriptor)
        self._handlers = {number: signal.signal(number, _end) for number in _ENDING}
        now = termios.tcgetattr(self._descriptor)
        now[3] &= ~(termios.ECHO | termios.ICANON)
        now[6][termios.VSUSP] = b"\0"
        now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, now)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def wait(self, seconds: float) -> list[str]:
        """Return the keys pressed within so many seconds, as soon as there is one; none where the window changed, or nothing happened."""
        end, size = time.monotonic() + seconds, self._size()
        while not select.select([self._descriptor], [], [], min(LOOK_S, max(0.0, end - time.monotonic())))[0]:
            if time.monotonic() >= end or self._size() != size:
                return []
        try:
            pressed = os.read(self._descriptor, 1024)
        except OSError:  # the terminal is gone
            pressed = b""
        return keys_of(pressed) if pressed else [QUIT]

    def _size(self) -> tuple[int, int]:
        try:
            found = os.get_terminal_size(self._descriptor)
        except OSError:  # the terminal is gone
            return 0, 0
        return found.columns, found.lines


def keys_of(pressed: bytes) -> list[str]:
    r"""Return the keys of what a terminal sent: characters, and arrows by name; other sequences are none.

    >>> keys_of(b"f\x1b[A\x1bOB\x1b[3~\x1b[1;5Cq")
    ['f', 'up', 'down', 'q']
    """
    found: list[str] = []
    while pressed:
        if arrow := _ARROW.match(pressed):
            found.append(_NAMES[arrow[1]])
            pressed = pressed[arrow.end() :]
        elif sequence := _SEQUENCE.match(pressed):
            pressed = pressed[sequence.end() :]
        else:
            found.append(chr(pressed[0]))
            pressed = pressed[1:]
    return found


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)
