"""Curves fill the room they are given, no more, in the terminal's own colours."""

import pytest

from toolrl.pipelines.watching.panels import Curve, Panel
from toolrl.pipelines.watching.plots import plot
from toolrl.pipelines.watching.series import Series

PANEL = Panel("reward", (Curve("a", "one", "green"), Curve("b", "two", "magenta")), share=True)


def series_of(*values):
    series = Series()
    for version, value in enumerate(values):
        series.add(version, value)
    return series


@pytest.mark.parametrize(("width", "height"), [(38, 4), (60, 10), (120, 20)])
def test_a_plot_is_of_the_size_that_was_asked_for(width, height):
    lines = plot(PANEL, {"a": series_of(0.0, 0.5, 0.25), "b": series_of(0.5)}, width, height).plain.rstrip("\n").split("\n")
    assert len(lines) == height
    assert width - 2 <= max(map(len, lines)) <= width  # and not that of the terminal which the test has


def test_the_axes_say_where_they_begin_and_end():
    text = plot(PANEL, {"a": series_of(0.25, 0.5), "b": Series()}, 40, 6).plain
    first, *_, last = text.rstrip("\n").split("\n")
    assert first.startswith("1 ")  # a share, so 0 to 1 whatever the values
    assert last.split() == ["0", "0", "1"] or last.split() == ["0", "1"]


def test_colours_are_those_of_the_terminal_and_the_background_is_untouched():
    text = plot(PANEL, {"a": series_of(0.0, 1.0), "b": series_of(1.0, 0.0)}, 40, 6)
    assert {str(span.style) for span in text.spans if span.style} - {"none"} == {"color(2)", "color(5)"}  # of the palette; no background


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, 0.5), (1e-30, 2e-30), (-1e9, 1e9)])
def test_any_values_can_be_drawn(values):
    panel = Panel("x", (Curve("a", "", "green"),))
    assert plot(panel, {"a": series_of(*values)}, 40, 6).plain


def test_values_beyond_those_drawn_before_make_another_drawing():
    series = series_of(0.0, 0.1)
    before = plot(PANEL, {"a": series, "b": Series()}, 40, 6).plain
    series.add(2, 0.9)
    assert plot(PANEL, {"a": series, "b": Series()}, 40, 6).plain != before
