"""The diff of calls as a person reads it: reference beside completion, a line an argument, long values cut around where they differ."""

from __future__ import annotations

from collections.abc import Sequence

from toolrl.calls.diff import ArgumentDiff, CallDiff
from toolrl.calls.match import same_text
from toolrl.calls.render import as_text
from toolrl.calls.schema import ABSENT
from toolrl.pipelines.review.page import table
from toolrl.types import Json, Reason, ToolCall

MARKS = {Reason.CORRECT: " ", Reason.MISSING_ARGUMENT: "-", Reason.UNEXPECTED_ARGUMENT: "+"}
"""Before an argument; `≠` before one that differs."""
BEFORE = 12
"""Characters of a cut value before the first that differs."""
TITLES = ("", "argument", "reference", "completion", "")
FRAME = 12
"""Columns of a line for its indent, its mark and its gaps."""


def diff_lines(diffs: Sequence[CallDiff], reference: Sequence[ToolCall], width: int) -> list[str]:
    """Return the diff as lines that fit into `width` columns."""
    if not diffs:
        return ["  no call is given, and none is wanted" if not reference else f"  wanted: {', '.join(call.name for call in reference)}"]
    return [line for diff in diffs for line in _call(diff, width)]


def _call(diff: CallDiff, width: int) -> list[str]:
    if diff.predicted is None or diff.reference is None:
        return [head(diff), *_alone(diff)]
    if not diff.arguments:
        return [head(diff), "    no arguments"]
    rows = [list(TITLES), *(cells(argument, diff, width) for argument in diff.arguments)]
    return [head(diff), *(f"  {line}" for line in table(rows))]


def head(diff: CallDiff) -> str:
    """Return the line above the arguments of a call; its first character is its mark."""
    if diff.predicted is None:
        return f"- {diff.expected_name}  (reference[{diff.reference}]) is missing"
    if diff.reference is None:
        return f"+ {diff.got_name}  ([{diff.predicted}]) answers no call of the reference"
    where = f"reference[{diff.reference}] and [{diff.predicted}]"
    if not same_text(diff.expected_name, diff.got_name):
        return f"≠ {where}: name {diff.expected_name!r}, got {diff.got_name!r}"
    return f"{'=' if diff.right else '≠'} {diff.expected_name}  ({where})"


def _alone(diff: CallDiff) -> list[str]:
    values = [(a.path, a.got if a.expected is ABSENT else a.expected) for a in diff.arguments]
    return [f"    {line}" for line in table([[path, _json(value)] for path, value in values])] if values else []


def cells(argument: ArgumentDiff, diff: CallDiff, width: int) -> list[str]:
    """Return what is under each of TITLES for an argument of `diff`, so that a line fits into `width` columns."""
    names = max(8, *(len(a.path) for a in diff.arguments))
    reasons = max(len(_reason(a)) for a in diff.arguments)
    expected, got = side_by_side(_json(argument.expected), _json(argument.got), max(BEFORE * 2, (width - names - reasons - FRAME) // 2))
    return [MARKS.get(argument.reason, "≠"), argument.path, expected, got, _reason(argument)]


def _reason(argument: ArgumentDiff) -> str:
    if argument.reason is not Reason.CORRECT:
        return str(argument.reason)
    if argument.expected is ABSENT:
        return "is the default"
    return "may be left out" if argument.got is ABSENT else ""


def side_by_side(a: str, b: str, room: int) -> tuple[str, str]:
    """Return two texts of at most `room` characters each, cut so that the first character that differs is in both.

    >>> side_by_side("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyY", 20)
    ('…nopqrstuvwxyz', '…nopqrstuvwxyY')
    """
    if max(len(a), len(b)) <= room:
        return a, b
    differ = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = 0 if differ < room - 1 or a == b else differ - BEFORE
    return _window(a, start, room), _window(b, start, room)


def _window(text: str, start: int, room: int) -> str:
    shown = text if start == 0 else "…" + text[start:]
    return shown if len(shown) <= room else shown[: room - 1] + "…"


def _json(value: Json) -> str:
    return "(none)" if value is ABSENT else as_text(value)
