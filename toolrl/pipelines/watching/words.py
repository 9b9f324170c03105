"""Text for a terminal as rich has it: what came out of a file is printable, and never markup."""

from __future__ import annotations

from collections.abc import Iterable

from rich.rule import Rule
from rich.text import Text

from toolrl.pipelines.review.page import printable

DIM = "dim"
MOST = 2000
"""Characters of a text that a line shows at most: no terminal is wider."""


def plain(text: object, style: str = "") -> Text:
    """Return a value as text that stays in its line."""
    return Text(printable(str(text)[:MOST]), style=style, no_wrap=True, overflow="ellipsis")


def folded(value: object, style: str = "") -> Text:
    """Return a value as text in as many lines as it needs."""
    return Text(printable(str(value)[:MOST]), style=style, overflow="fold")


def joined(parts: Iterable[Text], gap: str = " · ") -> Text:
    """Return texts in one line, empty ones left out."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for part in parts:
        if part.plain:
            line.append(gap if line.plain else "", style=DIM).append_text(part)
    return line


def ruled(title: Text) -> Rule:
    """Return the line above a section."""
    return Rule(title, align="left", style=DIM)


def number(value: float | None, form: str = ".3f") -> str:
    """Return a value, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def brief(value: float | None) -> str:
    """Return a value in few characters.

    >>> brief(0.12345), brief(12345.6), brief(1e-6), brief(None)
    ('0.123', '12,346', '1e-06', '–')
    """
    return number(value, ",.0f" if value is not None and 1000 <= abs(value) < 1e7 else ".3g")
