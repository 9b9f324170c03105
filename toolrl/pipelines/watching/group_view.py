"""The lower part of the screen: the newest groups, a line each, and of one of them a completion beside its reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from toolrl.errors import RunFolderError
from toolrl.pipelines.review.explanation import NONE, STRICT, Explanation
from toolrl.pipelines.review.page import pieces, printable, reward
from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.diff_view import GOT, diff_view
from toolrl.pipelines.watching.doing import BAD, PLAIN
from toolrl.pipelines.watching.groups import GroupLine
from toolrl.pipelines.watching.words import DIM, folded, number, plain, ruled
from toolrl.types import Reason

MARKS_SHOWN = 16
"""Completions of a group whose verdicts a line shows one by one."""
GAP = 2
"""Columns between two cells."""
LEAST = 6
"""Columns below which a reason or a prompt is not worth beginning."""
REASONS = 3
"""Column of the reasons."""
TURN_LINES = 2
"""Lines of the prompt's last turn."""


def groups_title(browser: Browser) -> Text:
    """Return the title of the list."""
    title = Text("newest groups" if browser.place.key is None else "groups", style=PLAIN)
    title.append(" with a wrong completion" if browser.place.wrong_only else "", style=BAD)
    return title.append("" if browser.place.key is None else " (↑ leads to the newest)", style=DIM)


def group_list(browser: Browser, width: int, lines: int, none_yet: str) -> RenderableType:
    """Return up to so many groups in lines of so many columns, the current one marked."""
    try:
        found, here = browser.around(lines), browser.current()
    except RunFolderError as error:
        return folded(error, BAD)
    if here is None:
        return plain("no group with a wrong completion in the newest versions" if browser.place.wrong_only else none_yet, DIM)
    rows = [_row(line, line.key == here.key) for line in found]
    table = Table.grid(padding=(0, GAP, 0, 0))
    for columns in _widths(rows, width):
        table.add_column(no_wrap=True, overflow="ellipsis", width=columns)
    for row in rows:
        table.add_row(*row[: len(table.columns)])
    return table


def _widths(rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    """Return the columns of each cell: those before the reasons are whole, and of the others those for which there is some room."""
    whole = [max(row[i].cell_len for row in rows) for i in range(len(rows[0]))]
    widths, room = whole[:REASONS], width - sum(whole[:REASONS]) - REASONS * GAP
    for wanted in whole[REASONS:]:
        if room < min(wanted, LEAST):
            break
        widths.append(min(wanted, room))
        room -= widths[-1] + GAP
    return widths


def _row(line: GroupLine, current: bool) -> tuple[Text, ...]:
    mark = Text.assemble(("▶ " if current else "  ", PLAIN), (f"{line.key.draw}", PLAIN if current else ""))
    return mark, plain(f"v{line.key.version}", DIM), _verdicts(line), _reasons(line), plain(line.prompt_id, DIM)


def _verdicts(line: GroupLine) -> Text:
    right = f"{line.right}/{len(line.reasons)}"
    if len(line.reasons) > MARKS_SHOWN:
        return plain(right, "green" if line.right else GOT)
    marks = Text(no_wrap=True)
    for reason in line.reasons:
        marks.append("✓" if reason == Reason.CORRECT else "✗", style="green" if reason == Reason.CORRECT else GOT)
    return marks.append(f" {right}")


def _reasons(line: GroupLine) -> Text:
    wrong = Counter(reason for reason in line.reasons if reason != Reason.CORRECT)
    words = ", ".join(f"{count} {reason}" for reason, count in wrong.most_common())
    return plain(words + ("" if line.trained else f"{'; ' if words else ''}not trained"))


def detail(browser: Browser, width: int, lines: int) -> RenderableType:
    """Return the completion that is looked at: its verdict, the end of its prompt, its calls beside the reference, its text."""
    try:
        explanation = browser.explanation()
    except RunFolderError as error:
        return folded(error, BAD)
    if explanation is None:
        return Text()
    row = explanation.row
    parts: list[RenderableType] = [ruled(_title(explanation))]
    turn = explanation.prompt.messages[-1]
    asked = _wrapped(f"{turn.role}: {turn.content}", width)
    parts += [plain(line, DIM) for line in asked[: TURN_LINES if lines > 8 else 1]]
    if row["text"] is None:
        parts.append(plain("its text was not kept (monitor.rollouts: share keeps one group in eight whole)", DIM))
        return Group(*parts)
    compared = diff_view(explanation.diffs, explanation.prompt.reference, width)
    room = max(3, lines - len(parts) - _height(explanation))
    shown = _text(row["text"], explanation.place, width, room)
    if explanation.reading == STRICT:
        return Group(*parts, compared, *shown)
    how = "no call could be read in it" if explanation.reading == NONE else "its calls, read leniently, since the form is wrong"
    return Group(*parts, *shown, plain(how, GOT), *([] if explanation.reading == NONE else [compared]))


def _title(explanation: Explanation) -> Text:
    row = explanation.row
    right = row["reason"] == Reason.CORRECT
    title = Text.assemble((f"{row['draw']}.{row['sample']}", PLAIN), " ")
    title.append(printable(row["reason"]), style="bold green" if right else GOT)
    if row["path"]:
        title.append(f" at {printable(row['path'])}")
    title.append(f" · reward {reward(row['reward'])} · advantage {number(row['advantage'], '+.2f')}", style=DIM)
    return title


def _height(explanation: Explanation) -> int:
    return (explanation.reading != STRICT) + sum(2 + len(diff.arguments) for diff in explanation.diffs)


def _wrapped(text: str, width: int) -> list[str]:
    return [piece for line in text.split("\n") for piece in pieces(printable(line), width)]


def _text(text: str, place: int | None, width: int, lines: int) -> Sequence[Text]:
    """Return the lines of a completion around the place where it breaks, which is marked; else its last ones, where the calls are."""
    found: list[Text] = []
    marked, start = None, 0
    for line in text.split("\n"):
        at = start
        for piece in pieces(line, width - 2):
            shown = Text.assemble(("│ ", DIM), printable(piece))
            shown.no_wrap, shown.overflow = True, "crop"
            if place is not None and at <= place < at + max(len(piece), 1):
                marked = len(found)
                shown.stylize("reverse bold red", 2 + place - at, 3 + place - at)
            found.append(shown)
            at += len(piece)
        start += len(line) + 1
    if marked is None:
        return found[-lines:]
    first = max(0, min(marked - lines // 2, len(found) - lines))
    return found[first : first + lines]
