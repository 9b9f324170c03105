"""Curves as text, drawn by plotext: the one place that names it. Its version 5 is pure Python; 6 brings a compiled part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import plotext
from rich.text import Text

from toolrl.pipelines.watching.panels import Panel
from toolrl.pipelines.watching.series import Series
from toolrl.pipelines.watching.words import brief

KEPT = 32
"""Drawings that are kept, since most are asked for again unchanged."""
TICK_COLUMNS = 12
"""Columns between two numbers on the axis of versions, at least."""


Points = tuple[tuple[float, ...], tuple[float, ...]]
"""Versions, and a value for each."""


def plot(panel: Panel, series: Mapping[str, Series], width: int, height: int) -> Text:
    """Return the curves of a panel in so many columns and lines; nothing is drawn where none has a value."""
    found = tuple((tuple(series[curve.metric].versions), tuple(series[curve.metric].values)) for curve in panel.curves)
    return _drawn(panel, found, width, height)


@lru_cache(KEPT)
def _drawn(panel: Panel, points: tuple[Points, ...], width: int, height: int) -> Text:
    curves = [(curve.colour, versions, values) for curve, (versions, values) in zip(panel.curves, points, strict=True) if values]
    if not curves:
        return Text("nothing yet", style="dim")
    low, high = _range([value for _, _, values in curves for value in values], panel.share)
    first = min(versions[0] for _, versions, _ in curves)
    last = max(first + 1, *(versions[-1] for _, versions, _ in curves))
    plotext.clear_figure()
    plotext.theme("clear")  # the terminal's own background
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.frame(False)
    for colour, versions, values in curves:
        draw = plotext.plot if len(values) > 1 else plotext.scatter
        draw(versions, values, marker="braille", color=colour)
    plotext.ylim(low, high)
    plotext.xlim(first, last)
    plotext.yticks([low, high], [brief(low), brief(high)])
    ticks = [first, last] if width < 3 * TICK_COLUMNS else [first, (first + last) / 2, last]
    plotext.xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    return Text.from_ansi(plotext.build(), no_wrap=True, overflow="crop")


def _range(values: Sequence[float], share: bool) -> tuple[float, float]:
    """Return where the axis begins and ends.

    >>> _range([2.0, 2.0], False), _range([0.25, 1.5], True)
    ((1.0, 3.0), (0.0, 1.5))
    """
    low, high = min(values), max(values)
    if share:
        return min(0.0, low), max(1.0, high)
    around = (abs(low) or 1.0) / 2 if low == high else 0.0
    return low - around, high + around
