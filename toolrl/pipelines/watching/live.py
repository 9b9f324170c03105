"""The live view: look, draw, wait for a key; until `q`.

Looking at the folder may take a tenth of the time at most, so a slow network file system makes the view slower, and does not load it.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.live import Live

from toolrl.errors import RunFolderError
from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.keyboard import QUIT, Keyboard
from toolrl.pipelines.watching.screen import Moment, screen
from toolrl.pipelines.watching.watched import WatchedRun

EVERY_S = 1.0
"""Between two looks at the folder."""
SHARE = 0.1
"""Of the time, for looking."""

MOVES: Mapping[str, Callable[[Browser], object]] = {
    "down": Browser.older,
    "n": Browser.older,
    "up": Browser.newer,
    "p": Browser.newer,
    "left": lambda browser: browser.other_sample(-1),
    "right": lambda browser: browser.other_sample(1),
    "f": Browser.filter_wrong,
}


def watch_live(run: WatchedRun, console: Console, descriptor: int) -> None:
    """Show the run until `q` or Ctrl-C is pressed; `descriptor` is the terminal that keys come from."""
    try:
        _watch(run, console, descriptor)
    except KeyboardInterrupt:
        return
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), console.file.fileno())  # the terminal is gone, and what was meant for it with it
        raise SystemExit(128 + signal.SIGHUP) from None


def _watch(run: WatchedRun, console: Console, descriptor: int) -> None:
    browser, help_shown, due = Browser(run.path, run.groups), False, 0.0
    with Keyboard(descriptor) as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            if began >= due:
                run.poll()
                due = began + until_next(time.monotonic() - began)
            width, height = console.size
            moment = Moment(time.time(), time.monotonic())
            live.update(screen(run, browser, moment, width, height, help_shown=help_shown), refresh=True)
            for key in keyboard.wait(due - time.monotonic()):
                if key == QUIT:
                    return
                help_shown = not help_shown if key == "?" else help_shown
                if key in MOVES:
                    _move(MOVES[key], browser)


def until_next(took_s: float) -> float:
    """Return the seconds from the beginning of a look at the folder, which took so long, to the next.

    >>> until_next(0.01), until_next(0.5)
    (1.0, 5.0)
    """
    return max(EVERY_S, took_s / SHARE)


def _move(move: Callable[[Browser], object], browser: Browser) -> None:
    try:
        move(browser)
    except RunFolderError:  # the list that is drawn next says what is wrong with the file
        return
