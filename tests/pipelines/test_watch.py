"""`toolrl watch` from the command line: in a terminal, in a pipe, and of what is no run."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from toolrl.cli.main import main
from toolrl.monitor.lines import JsonlSink
from toolrl.pipelines.watch import watch

SHOWN = re.compile(r"\x1b\[\?1049h")
RESTORED = re.compile(r"\x1b\[\?25h.*\x1b\[\?1049l|\x1b\[\?1049l.*\x1b\[\?25h", re.DOTALL)
ALLOWED = re.compile(r"\x1b\[(?:\d+(?:;\d+)*)?m|\x1b\[H|\x1b\[\?(?:25|1049)[hl]|[^\x00-\x1f\x7f-\x9f]")
"""Colours, the beginning of the screen, the cursor hidden and shown, the other screen; and text."""


EVIL = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \x9b31m\r\u202e \b"


@pytest.fixture
def run(make_run, weather):
    hostile = (EVIL, weather.completion('[{"name": "fore\\u001b[31mcast", "arguments": {"ci\\nty": "\\u001b[2J"}}]'))
    path = make_run([*weather.groups, (2, 7, weather.prompt, hostile)])
    sink = JsonlSink(path / "metrics.jsonl", lambda: 1000.0)
    for version in range(3):
        sink.write(version, {"reward/mean": version / 10, "loop/step_s": 2.0, "loop/learner_s": 1.0})
    sink.close()
    return path


def test_a_terminal_that_is_closed_ends_it_without_a_traceback(run, tmp_path):
    told = tmp_path / "told"
    process, ours = pty.fork()
    if not process:
        os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT), 2)
        os.execve(sys.executable, [sys.executable, "-m", "toolrl", "watch", str(run)], {**os.environ, "TERM": "xterm-256color"})
    shown, deadline = "", time.monotonic() + 60.0
    while "quit" not in shown:
        assert time.monotonic() < deadline
        if select.select([ours], [], [], 0.2)[0]:
            shown += os.read(ours, 65536).decode("utf-8", "replace")
    os.close(ours)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert told.read_text() == ""


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, arguments, columns=80, lines=24, **environment):
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "toolrl", "watch", *map(str, arguments)],
            stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, start_new_session=True,
            env={**known, "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        self.seen = ""

    def until(self, text, timeout_s=60.0):
        """Read until a text is shown, and return what came since the last time."""
        began, deadline = len(self.seen), time.monotonic() + timeout_s
        while text not in plain(self.seen[began:]):
            assert time.monotonic() < deadline, plain(self.seen)[-3000:]
            self._read(0.2)
        return self.seen[began:]

    def press(self, keys):
        os.write(self.ours, keys.encode())

    def resize(self, columns, lines):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self):
        """Wait for its end, and return its exit code."""
        deadline = time.monotonic() + 60.0
        while self.process.poll() is None:
            assert time.monotonic() < deadline, plain(self.seen)[-3000:]
            self._read(0.1)
        self._read(0.1)
        return self.process.returncode

    def as_it_was(self):
        return termios.tcgetattr(self.theirs) == self.before and RESTORED.search(self.seen) is not None

    def _read(self, seconds):
        if select.select([self.ours], [], [], seconds)[0]:
            self.seen += os.read(self.ours, 65536).decode("utf-8", "replace")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.fixture
def terminal(run):
    opened = []

    def start(*arguments, **named):
        opened.append(Terminal([run, *arguments], **named))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_person_watches_walks_through_groups_and_leaves(terminal, run):
    shown = terminal()
    first = shown.until("? help")
    assert SHOWN.search(first)
    assert "version 2/" in plain(first)
    for key, title in (("n", "7.0 no_think"), ("\x1b[C", "7.1 "), ("\x1b[B", "1.0 wrong_value")):
        shown.press(key)
        shown.until(title)
    shown.press("f?")
    shown.until("only groups with a wrong completion")
    shown.press("?")
    sink = JsonlSink(run / "metrics.jsonl")
    sink.write(3, {"reward/mean": 0.875})
    sink.close()
    shown.until("version 3/")
    shown.resize(140, 40)
    shown.until("a step ──")
    shown.press("q")
    assert shown.end() == 0
    assert shown.as_it_was()
    left = ALLOWED.sub(lambda found: "" if found[0].startswith("\x1b") else found[0], shown.seen.replace("\r\n", ""))
    assert re.findall(r"[\x00-\x1f\x7f-\x9f].{0,40}", left) == []


def test_the_terminal_is_as_it_was_after_ctrl_c_and_had_no_colour_where_none_is_wanted(terminal):
    shown = terminal(NO_COLOR="1")
    shown.until("? help")
    shown.process.send_signal(signal.SIGINT)
    assert shown.end() == 0
    assert shown.as_it_was()
    codes = {code for codes in re.findall(r"\x1b\[([\d;]+)m", shown.seen) for code in codes.split(";")}
    assert codes <= {"0", "1", "2", "7"}  # bold, dim and reverse are no colours


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_terminal_that_cannot_be_drawn_on_gets_a_page(run, monkeypatch, name):
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", name)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with os.fdopen(theirs, "w") as out:
        assert watch(run, once=False, as_json=False, width=80, out=out) == 0
    seen = b""
    with contextlib.suppress(OSError):  # at the end of what was written
        while more := os.read(ours, 65536):
            seen += more
    os.close(ours)
    assert "newest groups" in seen.decode()
    assert b"\x1b" not in seen


def test_a_pipe_gets_a_page_without_colour(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in ((), ("--once",)):
        assert main(["watch", str(run), *arguments]) == 0
        out = capsys.readouterr().out
        assert "version 2/" in out
        assert "8.1 unexpected_call" in out
        assert "\x1b" not in out
        assert max(map(len, out.splitlines())) <= 80


def test_json_is_one_line(run, capsys):
    assert main(["watch", str(run), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out)["version"] == 2


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such folder"), (".", "holds no run"), ("file", "not a folder")])
def test_what_is_no_run_ends_with_2(tmp_path, capsys, name, message):
    (tmp_path / "file").write_text("")
    assert main(["watch", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
