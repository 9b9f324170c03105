"""The screen fits any terminal, and shows of a run what its files say."""

import time

import pytest

from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.screen import HELP, Moment, page, screen
from toolrl.pipelines.watching.watched import WatchedRun

SIZES = [(80, 24), (40, 12), (20, 5), (100, 34), (119, 33), (120, 40), (200, 60), (300, 20)]
MOMENT = Moment(1003.0, 0.0)


@pytest.fixture
def watching(rl_run):
    def make(*arguments, **named):
        run = WatchedRun(rl_run(*arguments, **named))
        return run, Browser(run.path, run.groups)

    return make


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("help_shown", [False, True])
def test_it_is_exactly_as_large_as_the_terminal(watching, drawn, width, height, help_shown):
    run, browser = watching()
    lines = drawn(screen(run, browser, MOMENT, width, height, help_shown=help_shown), width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_it_shows_how_far_the_run_is_and_what_it_does(watching, drawn, size):
    run, browser = watching()
    run.settings["run.steps"] = 8
    text = "\n".join(drawn(screen(run, browser, MOMENT, *size), *size))
    told = ("toolrl rl · version 2/8 (25%) · about 12s to go", "running", "reward 0.200", "tokens/s 1,000")
    for shown in (*told, "v2  ✓✗✗✗ 1/4", "8.1 unexpected_call"):
        assert shown in text, shown
    assert "engine  2 up" in text


def test_a_narrow_screen_has_the_diff_too(watching, drawn):
    run, browser = watching()
    browser.older()
    text = "\n".join(drawn(screen(run, browser, MOMENT, 80, 24), 80, 24))
    assert "≠ forecast  (reference[0] and [0])" in text
    assert '≠  city      "Oslo"     "Rome"      wrong_value' in text


def test_a_high_screen_has_the_stages_line_by_line(watching, drawn):
    run, browser = watching()
    lines = [line.split() for line in drawn(screen(run, browser, MOMENT, 140, 40), 140, 40)]
    assert next(line for line in lines if line[:1] == ["seconds"])[:5] == ["seconds", "newest", "mean", "of", "2"]
    assert next(line for line in lines if line[:1] == ["learner"])[1:3] == ["1.00", "1.00"]
    assert next(line for line in lines if line[:1] == ["forward"])[1:3] == ["0.75", "0.75"]


def test_a_supervised_run_has_its_losses_and_no_groups(sft_run, drawn):
    run = WatchedRun(sft_run)
    text = "\n".join(drawn(screen(run, Browser(run.path, run.groups), MOMENT, 80, 24), 80, 24))
    for shown in ("toolrl sft · version 4/100", "loss 0.5000", "held out 2.5000 (version 0)", "`toolrl sft` samples no groups"):
        assert shown in text, shown


def test_a_run_that_has_only_begun_is_shown(rl_run, drawn):
    path = rl_run(versions=())
    (path / "metrics.jsonl").unlink()
    for file in (path / "rollouts").iterdir():
        file.unlink()
    run = WatchedRun(path)
    text = "\n".join(drawn(screen(run, Browser(path, run.groups), MOMENT, 80, 24), 80, 24))
    assert "no version yet" in text
    assert "no groups yet" in text


def test_rewinds_and_files_that_cannot_be_read_are_on_the_screen(rl_run, rewind, drawn):
    path = rl_run()
    run = WatchedRun(path)
    rewind(path, 1)
    run.poll()
    (path / "rollouts" / "version-000001.parquet").write_bytes(b"damage")
    text = "\n".join(drawn(screen(run, Browser(path, run.groups), MOMENT, 120, 24), 120, 24))
    assert "attempt 2" in text
    assert "rewound from version 2 to 1" in text
    assert "put back the file" in text


def test_hostile_output_of_a_model_is_only_text(watching, drawn, weather):
    evil = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \x9b31m\r‮ \b"
    texts = (evil, weather.completion('[{"name": "fore\\u001b[31mcast", "arguments": {"ci\\nty": "\\u001b[2J[blink]"}}]'))
    run, browser = watching([(1, 0, weather.prompt, texts)])
    for _ in texts:
        for size in ((80, 24), (140, 40)):
            lines = drawn(screen(run, browser, MOMENT, *size), *size)
            assert all(line.isprintable() for line in lines)
        assert all(line.isprintable() for line in drawn(page(run, browser, MOMENT, 80)))
        browser.other_sample(1)
    browser.other_sample(-1)
    assert "[blink]" in "\n".join(drawn(page(run, browser, MOMENT, 120), 120))


def test_hostile_names_in_other_files_are_only_text(watching, drawn):
    run, browser = watching()
    (run.path / "versions.json").write_text('{"attempts": [{}, {"after": "\\u001b[2J[bold]died[/bold]"}]}')
    run.poll()
    lines = drawn(screen(run, browser, MOMENT, 100, 24), 100, 24)
    assert all(line.isprintable() for line in lines)
    assert any("[bold]died[/bold]" in line for line in lines)


def test_the_help_fits_a_small_terminal():
    assert max(map(len, HELP.splitlines())) <= 76
    assert len(HELP.splitlines()) <= 20


def test_a_page_has_every_part(watching, drawn):
    run, browser = watching()
    text = "\n".join(drawn(page(run, browser, MOMENT, 80)))
    for part in ("curves", "a step", "actors", "newest groups", "8.1 unexpected_call"):
        assert part in text


def test_a_screen_of_a_long_run_is_drawn_in_a_moment(watching):
    run, browser = watching(versions=range(600))
    screen(run, browser, MOMENT, 140, 40)
    began = time.process_time()
    screen(run, browser, MOMENT, 140, 40)
    assert time.process_time() - began < 0.2
