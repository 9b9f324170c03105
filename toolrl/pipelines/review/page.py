"""Plain text for a terminal: titles, columns, lines that fit. Control characters that a model wrote are marked, never printed."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

INDENT = 12
"""Columns of a name beside its value."""


def page(sections: Iterable[Iterable[str]], width: int) -> str:
    """Return sections with a blank line between them; empty ones are left out."""
    return "\n\n".join("\n".join(cut(line, width) for line in lines) for section in sections if (lines := list(section)))


def try_one(run: Path, sample: str) -> str:
    """Return the line that says how to look at a sample: a command to copy, so it is never cut."""
    return f"look at one: toolrl explain {run} --sample {sample}"


def cut(line: str, width: int) -> str:
    """Return a line that fits into `width` columns, control characters as `�`."""
    shown = printable(line)
    return shown if columns(shown) <= width else next(pieces(shown, width - 1)) + "…"


def printable(text: str) -> str:
    r"""Return a text as a terminal may have it: what could move its cursor, colour it or turn its direction is `�`.

    >>> printable("a\x1b[2J\nb")
    'a�[2J�b'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def columns(text: str) -> int:
    """Return the columns that a text takes: two for a wide character, none for a mark.

    >>> columns("a"), columns("天"), columns("e" + chr(0x301))
    (1, 2, 1)
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def pieces(line: str, width: int) -> Iterator[str]:
    """Yield a line in pieces of at most `width` columns, at least one.

    >>> list(pieces("ab天c", 3))
    ['ab', '天c']
    """
    start = room = 0
    for i, character in enumerate(line):
        taken = _columns(character)
        if room + taken > width and i > start:
            yield line[start:i]
            start, room = i, 0
        room += taken
    yield line[start:]


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else int(not unicodedata.combining(character))


def title(name: str, facts: Sequence[str], width: int) -> list[str]:
    """Return the lines that open a section, its facts in as many lines as they need."""
    lines = [f"── {name}"]
    for fact in facts:
        if columns(lines[-1]) + 3 + columns(fact) > width:
            lines += [f"   {part}" for part in wrap(fact, width - 3)]
        else:
            lines[-1] += f" · {fact}"
    return lines


def named(name: str, value: str, width: int, most: int | None = None) -> list[str]:
    """Return `value` beside its name, wrapped, at most so many lines of it."""
    lines = [part for line in value.split("\n") for part in wrap(line, width - INDENT)]
    if most is not None and len(lines) > most:
        lines[most - 1 :] = [f"… {len(lines) - most + 1} more lines; --json has them all"]
    return [f"{name if i == 0 else '':<{INDENT}}{line}".rstrip() for i, line in enumerate(lines)]


def wrap(line: str, width: int, after: str = "") -> list[str]:
    """Return a line as lines of at most `width` columns, at least one; those after the first begin with `after`."""
    if columns(line) != len(line):  # written without spaces, most of it
        first, *rest = pieces(line, max(width - len(after), 20))
        return [first, *(after + piece for piece in rest)]
    return textwrap.wrap(line, max(width, 20), subsequent_indent=after, break_on_hyphens=False) or [""]


def table(rows: Sequence[Sequence[str]], right: Container[int] = (), width: int | None = None) -> list[str]:
    """Return rows as lines with aligned columns, those in `right` to the right; a last column beyond `width` is wrapped.

    >>> table([["a", "1"], ["bcd", "20"]], right=(1,))
    ['a     1', 'bcd  20']
    """
    widths = [max(columns(row[column]) for row in rows) for column in range(len(rows[0]))]
    room = 10**9 if width is None else width - sum(widths[:-1]) - 2 * (len(widths) - 1)
    lines = []
    for row in rows:
        for i, last in enumerate(wrap(row[-1], room) if columns(row[-1]) > room else [row[-1]]):
            cells = [*(row[:-1] if i == 0 else [""] * (len(row) - 1)), last]
            lines.append("  ".join(_aligned(cell, w, c in right) for c, (cell, w) in enumerate(zip(cells, widths, strict=True))).rstrip())
    return lines


def reward(value: float | None) -> str:
    """Return a reward as the pages show it."""
    return "none" if value is None else f"{value:g}"


def _aligned(cell: str, width: int, right: bool) -> str:
    gap = " " * (width - columns(cell))
    return gap + cell if right else cell + gap
