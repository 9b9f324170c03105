"""What a person sees of supervised training: means of the steps between two lines, and how long it will take."""

import io

import pytest

from toolrl.monitor.supervised_console import LINES, MOST_STEPS, SupervisedConsole, duration


def step(loss, *, seconds=2.0, tokens=100.0, **more):
    return {"learner/loss": loss, "learner/tokens": tokens, "loop/step_s": seconds, "loop/learner_s": seconds, "loop/eval_s": 0.0, **more}


def printed(*rows, steps):
    file = io.StringIO()
    console = SupervisedConsole(steps, file)
    for version, metrics in rows:
        console.write(version, metrics)
    console.close()
    return [line.split() for line in file.getvalue().splitlines()]


def test_a_line_is_the_mean_of_the_steps_since_the_line_before():
    """Two lines of 5 steps; losses 1 to 5, then 6 to 10; 500 tokens in 10 s; 90 steps of 2 s are left after the tenth."""
    _, first, second = printed(*((v, step(float(v))) for v in range(1, 11)), steps=100)
    assert first == ["5/100", "3.0000", "50", "3m", "10s", "learn", "10"]
    assert second == ["10/100", "8.0000", "50", "3m", "00s", "learn", "10"]


def test_a_measurement_has_its_line_and_its_time_counts_for_what_is_left():
    """Before the start, and after 3 of 100 steps: 97 · (3 · 2 + 6) / 3 seconds are left."""
    start = {"heldout/loss": 7.4139, "heldout/greedy": 0.0, "loop/step_s": 0.5, "loop/push_s": 0.5, "loop/eval_s": 3.0}
    measured = {"heldout/loss": 1.5, "heldout/greedy": 0.25, "heldout/greedy_format_right": 0.5, "heldout/greedy_content_right": 0.375}
    rows = [(1, step(1.0)), (2, step(2.0)), (3, step(6.0, **measured) | {"loop/eval_s": 6.0})]
    _, before, after = printed((0, start), *rows, steps=100)
    assert before == ["0/100", "7.4139", "0.000", "push", "0.50", "eval", "3.00"]
    assert after == ["3/100", "3.0000", "1.5000", "0.250", "0.500/0.375", "50", "6m", "28s", "learn", "6.00", "eval", "6.00"]


def test_the_last_step_has_a_line_and_nothing_is_left():
    *_, last = printed(*((v, step(1.0)) for v in range(1, 8)), steps=7)
    assert last == ["7/7", "1.0000", "50", "learn", "2.00"]


@pytest.mark.parametrize(("steps", "lines"), [(LINES // 2, LINES // 2), (10 * LINES, LINES), (100 * MOST_STEPS, 100)])
def test_short_runs_show_every_step_and_long_ones_go_on_showing_something(steps, lines):
    shown = [line for line in printed(*((v, step(1.0)) for v in range(1, steps + 1)), steps=steps) if line[0] != "step"]
    assert len(shown) == lines


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0s"), (59.6, "1m 00s"), (200, "3m 20s"), (7500, "2h 05m"), (90000, "25h 00m")])
def test_durations_are_said_as_a_person_says_them(seconds, said):
    assert duration(seconds) == said
