"""What a person sees, and that nothing is lost between sinks."""

import io

import pytest

from toolrl.monitor.sinks import HEADER_EVERY, ConsoleSink, ManySinks
from toolrl.testing.fakes import World

START = {"heldout/reward": 0.367, "heldout/greedy": 0.79, "heldout/format_right": 0.64, "heldout/content_right": 0.8, "loop/eval_s": 12.3}
STEP = {
    "reward/mean": 0.4375,
    "reward/format_right": 0.7,
    "reward/content_right": 0.81,
    "drift/completion_tokens": 1.25,
    "drift/format_right": -0.034,
    "loop/staleness_mean": 0.5,
    "loop/staleness_max": 1.0,
    "loop/completions_per_s": 85.25,
    "loop/wait_generation_s": 0.912,
    "loop/learner_s": 0.5,
    "loop/push_s": 0.11,
    "loop/eval_s": 0.0,
    "loop/checkpoint_s": 0.0,
}


def printed(*rows, steps=60):
    file = io.StringIO()
    sink = ConsoleSink(steps, file)
    for version, metrics in rows:
        sink.write(version, metrics)
    return file.getvalue().splitlines()


def test_a_line_shows_reward_heldout_staleness_and_seconds_by_stage():
    header, start, step = printed((0, START), (1, STEP))
    before, after = ["step", "reward", "form/content", "held-out", "greedy", "form/content"], ["stale", "comp/s", "seconds"]
    assert header.split() == [*before, "len/form", *after]
    assert start.split() == ["0/60", "0.367", "0.790", "0.640/0.800", "eval", "12"]
    assert step.split() == ["1/60", "0.438", "0.700/0.810", "×1.25/-0.03", "0.5/1", "85.2", "gen", "0.91", "learn", "0.50", "push", "0.11"]


def test_columns_stand_under_their_titles():
    header, start, step = printed((0, START), (1, STEP))
    for title, line, value in (
        ("reward", step, "0.438"),
        ("held-out", start, "0.367"),
        ("greedy", start, "0.790"),
        ("len/form", step, "×1.25/-0.03"),
        ("stale", step, "0.5/1"),
    ):
        assert header.index(title) + len(title) == line.index(value) + len(value)


def test_the_header_comes_again_and_a_file_gets_no_colours():
    lines = printed(*((version, STEP | START) for version in range(2 * HEADER_EVERY + 1)))
    assert [i for i, line in enumerate(lines) if "reward" in line] == [0, HEADER_EVERY + 1, 2 * HEADER_EVERY + 2]
    assert "\x1b" not in "".join(lines)


def test_long_lines_are_not_wrapped():
    assert len(printed((60, STEP | START | {"loop/checkpoint_s": 100.0, "loop/eval_s": 1000.0}))) == 2


def test_every_sink_gets_everything_and_all_are_closed():
    closed = []

    class Sink:
        def __init__(self, error=None):
            self.rows, self.error = [], error

        def write(self, version, metrics):
            self.rows.append((version, metrics))

        def close(self):
            closed.append(self)
            if self.error:
                raise self.error

    first, broken, last = Sink(), Sink(OSError("disk full")), Sink()
    sinks = ManySinks([first, broken, last])
    sinks.write(1, {"a": 1.0})
    assert first.rows == last.rows == [(1, {"a": 1.0})]
    with pytest.raises(OSError, match="disk full"):
        sinks.close()
    assert set(closed) == {first, broken, last}


def test_a_version_can_be_printed_from_the_fakes():
    world = World()
    ManySinks([world.sink, ConsoleSink(1, io.StringIO())]).write(1, {})
    assert world.sink.rows == {1: {}}
