"""What a person sees while a model is asked."""

import io
import time
from types import SimpleNamespace

from rich.console import Console

from toolrl.pipelines.distilling import progress as module
from toolrl.pipelines.distilling.progress import Progress
from toolrl.rollout.faults import Kind
from toolrl.rollout.replies import Reply
from toolrl.rollout.traffic import Traffic

REPLY = Reply("x", "stop", 1000, 50)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def progress(**values):
    file = io.StringIO()
    settings = {"there": 10, "wanted": 90, "traffic": Traffic(), "console": Console(file=file, width=200), "now": Clock()}
    candidates = SimpleNamespace(right={"a", "b"}, prompts=range(50))
    made = Progress(candidates, **settings | values)
    return made, file, made._now


def test_counts_rate_cost_and_what_is_left():
    made, _, clock = progress(price=lambda reply: 0.25, spent=1.0)
    assert made.line() == "10 of 100 asked · 2 of 50 prompts right · waiting for the first answer · cost 1.00"
    clock.now = 30.0  # engines start
    made.took(REPLY, [])
    clock.now = 40.0
    for _ in range(29):
        made.took(REPLY, [])
    # 30 × 50 tokens in 10 s; 60 of 90 left at 3 a second
    assert made.line() == "40 of 100 asked · 2 of 50 prompts right · about 20 s to go · 150 tokens/s · cost 8.50"


def test_asks_that_become_necessary_are_wanted_too():
    made, _, _ = progress(there=0, wanted=2)
    made.took(REPLY, [object()])
    assert made.line().startswith("1 of 3 asked")


def test_trouble_on_the_line_is_told():
    traffic = Traffic()
    traffic.faults.update({Kind.LIMITED: 31, Kind.LOST: 3, Kind.UNREADABLE: 2})
    traffic.held_for_s = lambda: 12.3
    made, _, _ = progress(traffic=traffic)
    assert "over the limit 31 times, waiting 12 s · 5 sent again" in made.line()


def test_in_a_file_a_line_comes_now_and_then_and_one_at_the_end(monkeypatch):
    monkeypatch.setattr(module, "FILE_S", 0.01)
    made, file, _ = progress()
    with made:
        while file.getvalue().count("\n") < 2:
            time.sleep(0.005)
        made.took(REPLY, [])
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("10 of 100 asked")
    assert lines[-1].startswith("11 of 100 asked")


def test_at_a_terminal_one_line_is_rewritten(monkeypatch):
    monkeypatch.setattr(module, "TERMINAL_S", 0.01)
    made, file, _ = progress(console=Console(file=io.StringIO(), force_terminal=True, width=200))
    file = made._console.file
    with made:
        while file.getvalue().count("10 of 100 asked") < 3:
            time.sleep(0.005)
        made.took(REPLY, [])
    assert "\x1b[2K" in file.getvalue(), "the line is taken back"
    assert file.getvalue().endswith("11 of 100 asked · 2 of 50 prompts right · " + made.line().split(" · ", 2)[2] + "\n")


def test_quiet_says_nothing():
    made, file, _ = progress(quiet=True)
    with made:
        made.took(REPLY, [])
    assert file.getvalue() == ""
