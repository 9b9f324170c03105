"""The whole screen of a width and a height, and the page of the same parts that goes into a pipe.

┌ which run, how far, what it does now, its figures ┐  always
│ curves                                            │  from LOW lines; two rows on a high terminal
│ seconds of a step          │ actors               │  a line each below HIGH lines
│ newest groups              │ one of them          │  beside each other from WIDE columns, else one below the other
└ keys                                              ┘
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from toolrl.pipelines.watching import group_view, sections
from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.doing import PLAIN, doing
from toolrl.pipelines.watching.watched import WatchedRun
from toolrl.pipelines.watching.words import DIM, joined, plain, ruled

WIDE = 120
"""Columns from which two parts stand beside each other."""
HIGH = 34
"""Lines from which stages and actors have a line each, and curves a second row further up."""
LOW = 16
"""Lines below which there is no room for curves."""
NOTICES, TOLD_LINES = 3, 3
"""Lines for what a person must know, and for what the run does."""
PAGE_GROUPS, PAGE_TOLD_LINES = 10, 40
KEYS = (("q", "quit"), ("↑↓ p n", "groups"), ("←→", "completions"), ("f", "wrong only"), ("?", "help"))
HELP = """
  q          quit; so does Ctrl-C
  ↓  n       the next group: an older one
  ↑  p       the one before: a newer one; at the newest, what comes is shown
  ←  →       another completion of the group
  f          only groups with a wrong completion; again: all
  ?          this page; again: back

  ✓ ✗        a completion that is correct; one that is not
  =  ≠       a call or argument as the reference has it; one that differs
  -  +       only the reference has it; only the completion has it

  All is read from the run folder, from any machine that sees it.
  toolrl explain RUN --sample DRAW.SAMPLE shows a completion in full.
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a screen is made, on the clock of the wall and on that of the run's watcher."""

    now: float
    clock: float


def screen(run: WatchedRun, browser: Browser, moment: Moment, width: int, height: int, *, help_shown: bool = False) -> RenderableType:
    """Return the whole screen."""
    top = [*_top(run, moment, width, TOLD_LINES if height >= LOW else 1), *(sections.notices(run)[-NOTICES:] if height >= LOW else [])]
    parts = [Layout(Group(*top), size=len(top))]
    room = height - len(top) - 1
    if help_shown:
        parts.append(Layout(Group(ruled(plain("keys", PLAIN)), Text(HELP))))
    elif height < LOW:
        parts.append(_groups(run, browser, width, room))
    else:
        of_curves = max(7, min(24, room * 3 // 10))
        of_states = min(10, room // 4) if height >= HIGH else 3
        rows = 2 if of_curves >= 16 else 1
        parts.append(Layout(Group(ruled(plain("curves", PLAIN)), sections.curves(run, width, of_curves - 1, rows)), size=of_curves))
        parts.append(Layout(_states(run, moment, width, of_states), size=of_states))
        parts.append(_groups(run, browser, width, room - of_curves - of_states))
    parts.append(Layout(_keys(), size=1))
    whole = Layout()
    whole.split_column(*parts)
    return whole


def page(run: WatchedRun, browser: Browser, moment: Moment, width: int) -> RenderableType:
    """Return the parts one below the other, each as long as it is."""
    parts: list[RenderableType] = [*_top(run, moment, width, PAGE_TOLD_LINES), *sections.notices(run)]
    parts += [Text(), ruled(plain("curves", PLAIN)), sections.curves(run, width, 20, 2)]
    parts += [ruled(plain("a step", PLAIN)), sections.stages(run, 40)]
    parts += [ruled(plain("actors", PLAIN)), *sections.actors(run, moment.now)]
    parts += [ruled(group_view.groups_title(browser)), group_view.group_list(browser, width, PAGE_GROUPS, _none_yet(run))]
    return Group(*parts, group_view.detail(browser, width, 40))


def _top(run: WatchedRun, moment: Moment, width: int, most: int) -> list[Text]:
    state = doing(run, moment.now, moment.clock)
    return [sections.header(run, state), *sections.told(state, width, most), sections.figures(run)]


def _states(run: WatchedRun, moment: Moment, width: int, height: int) -> RenderableType:
    if height <= 3:
        return Group(ruled(plain("a step, and the actors", PLAIN)), sections.stages_in_a_line(run), sections.actors_in_a_line(run))
    found = sections.actors(run, moment.now)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    left = Group(ruled(plain("a step", PLAIN)), sections.stages(run, height - 1))
    table.add_row(left, Group(ruled(plain("actors", PLAIN)), *found[: height - 1]))
    return table


def _groups(run: WatchedRun, browser: Browser, width: int, height: int) -> Layout:
    part = Layout()
    title = ruled(group_view.groups_title(browser))
    if width >= WIDE:
        of_list = width * 2 // 5
        listed = Group(title, group_view.group_list(browser, of_list - 2, height - 1, _none_yet(run)))
        beside = group_view.detail(browser, width - of_list, height)
        part.split_row(Layout(Padding(listed, (0, 2, 0, 0)), size=of_list), Layout(beside))
        return part
    of_list = max(3, height * 2 // 5)
    listed = Group(title, group_view.group_list(browser, width, of_list - 1, _none_yet(run)))
    part.split_column(Layout(listed, size=of_list), Layout(group_view.detail(browser, width, height - of_list)))
    return part


def _none_yet(run: WatchedRun) -> str:
    if run.kind == "sft":
        return "`toolrl sft` samples no groups"
    return "no groups yet: they are there once the first batch is trained"


def _keys() -> Text:
    return joined([Text.assemble((key, PLAIN), (f" {what}", DIM)) for key, what in KEYS], "  ")
