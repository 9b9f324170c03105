"""The diff of calls in colour: reference beside completion, and of two values that differ only what differs stands out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from toolrl.calls.diff import ArgumentDiff, CallDiff
from toolrl.pipelines.review.diff_page import MARKS, TITLES, cells, diff_lines, head
from toolrl.pipelines.watching.words import DIM, plain
from toolrl.types import Reason, ToolCall

WANTED, GOT, SAME = "bold green", "bold red", "green"
STYLES = {"=": SAME, "≠": GOT, "-": GOT, "+": GOT, " ": ""}
"""Of a line, by its mark."""


def diff_view(diffs: Sequence[CallDiff], reference: Sequence[ToolCall], width: int) -> RenderableType:
    """Return the diff, `width` columns wide."""
    if not diffs:
        return Group(*(plain(line) for line in diff_lines(diffs, reference, width)))
    return Group(*(part for diff in diffs for part in _call(diff, width)))


def _call(diff: CallDiff, width: int) -> list[RenderableType]:
    title = head(diff)
    if diff.predicted is None or diff.reference is None:
        return [plain(line, STYLES[title[0]]) for line in diff_lines([diff], (), width)]
    if not diff.arguments:
        return [plain(title, STYLES[title[0]]), plain("    no arguments", DIM)]
    rows = Table.grid(padding=(0, 2, 0, 0))
    for _ in TITLES:
        rows.add_column(no_wrap=True, overflow="ellipsis")
    rows.add_row(*(plain(name, DIM) for name in TITLES))
    for argument in diff.arguments:
        rows.add_row(*_row(argument, diff, width))
    return [plain(title, STYLES[title[0]]), Padding(rows, (0, 0, 0, 2))]


def _row(argument: ArgumentDiff, diff: CallDiff, width: int) -> list[Text]:
    mark, path, expected, got, reason = cells(argument, diff, width)
    style = STYLES[MARKS.get(argument.reason, "≠")]
    if argument.reason is Reason.CORRECT:
        return [plain(mark), plain(path), plain(expected), plain(got), plain(reason, DIM)]
    wanted, given = differing(expected, got)
    return [plain(mark, style), plain(path), wanted, given, plain(reason, style)]


def differing(expected: str, got: str) -> tuple[Text, Text]:
    """Return two values, each with what the other has not in colour.

    >>> [[text.plain[span.start : span.end] for span in text.spans] for text in differing("Oslo, N", "Rome, N")]
    [['Oslo'], ['Rome']]
    """
    start = _shared(expected, got)
    end = min(_shared(expected[::-1], got[::-1]), len(expected) - start, len(got) - start)
    shown = plain(expected), plain(got)
    for text, style, whole in zip(shown, (WANTED, GOT), (expected, got), strict=True):
        text.stylize(style, start, len(whole) - end)
    return shown


def _shared(a: str, b: str) -> int:
    """Return how many characters two texts begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
