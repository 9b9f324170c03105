"""Keys come without Enter, and the terminal is what it was afterwards."""

import fcntl
import os
import pty
import signal
import struct
import termios
import threading
import time

import pytest

from toolrl.pipelines.watching import keyboard as keyboard_module
from toolrl.pipelines.watching.keyboard import Keyboard, keys_of


@pytest.fixture
def terminal():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_keys_are_read_one_by_one(terminal):
    ours, theirs = terminal
    with Keyboard(theirs) as keyboard:
        os.write(ours, b"f\x1b[Bq")
        assert keyboard.wait(5.0) == ["f", "down", "q"]
        assert keyboard.wait(0.0) == []


@pytest.mark.parametrize("pressed", [b"\x1b", b"\x1b[", b"\x1b[1;5A", b"\x1b[200~", b"\x1b\x1b", b"\x1bP"])
def test_other_sequences_are_no_keys(pressed):
    assert [key for key in keys_of(pressed) if key in ("q", "f", "n", "p", "?", "up", "down", "left", "right")] == []


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_the_terminal_is_as_it_was_however_it_ends(terminal, monkeypatch, error):
    _, theirs = terminal
    before = termios.tcgetattr(theirs)
    monkeypatch.setattr(keyboard_module, "_ENDING", (signal.SIGUSR1,))
    own = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with Keyboard(theirs):
            assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON)
            assert termios.tcgetattr(theirs)[3] & termios.ISIG  # Ctrl-C is still one
            if error:
                raise error
    except (ValueError, KeyboardInterrupt, SystemExit) as raised:
        assert type(raised) is error  # noqa: PT017 there is none where none was raised
    assert termios.tcgetattr(theirs) == before
    assert signal.signal(signal.SIGUSR1, own) == signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_as_an_error_would(terminal, number):
    _, theirs = terminal
    before = termios.tcgetattr(theirs)
    with pytest.raises(SystemExit) as ended, Keyboard(theirs):
        signal.raise_signal(number)
    assert ended.value.code == 128 + number
    assert termios.tcgetattr(theirs) == before


def test_a_change_of_size_ends_the_wait(terminal):
    ours, theirs = terminal
    with Keyboard(theirs) as keyboard:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        threading.Timer(0.1, fcntl.ioctl, (ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))).start()
        began = time.monotonic()
        assert keyboard.wait(20.0) == []
        assert time.monotonic() - began < 10.0


def test_a_terminal_that_is_gone_ends_it():
    read, write = os.pipe()
    ours, theirs = pty.openpty()
    with Keyboard(theirs) as keyboard:
        os.close(write)
        keyboard._descriptor, kept = read, keyboard._descriptor
        assert keyboard.wait(5.0) == ["q"]
        keyboard._descriptor = kept
    for descriptor in (read, ours, theirs):
        os.close(descriptor)


def test_a_terminal_that_is_gone_hides_no_error():
    own, terminal = signal.getsignal(signal.SIGHUP), pty.openpty()
    keyboard = Keyboard(terminal[1])
    keyboard.__enter__()
    for descriptor in terminal:
        os.close(descriptor)
    keyboard.__exit__(None, None, None)
    assert signal.getsignal(signal.SIGHUP) is own
