"""What the readers of Java and JavaScript literals share.

BFCL reads literals by patterns and not by grammar: what fits none stays text, and a value it stands for by chance is that
value. The same is done here by scanning, in time that hostile text cannot blow up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from toolrl.types import Json

MAX_LITERAL: Final = 1 << 14
"""Longest text that is read as a collection, in characters; scanning may take the square of it."""

_SPACE = re.compile(r"\s*")


def skip_space(text: str, start: int) -> int:
    """Return the first position from `start` on that is no white space."""
    found = _SPACE.match(text, start)
    assert found is not None  # the pattern matches the empty string
    return found.end()


def runs(text: str, opening: re.Pattern[str], closing: str, least: int = 0) -> Iterator[str]:
    """Yield what stands between each `opening` and the next `closing` on the same line, `least` characters or more."""
    start = 0
    while (found := opening.search(text, start)) is not None:
        end = text.find(closing, found.end() + least)
        if end < 0:
            return
        if text.find("\n", found.end(), end) >= 0:
            start = found.start() + 1
        else:
            yield text[found.end() : end]
            start = end + len(closing)


def is_quoted(text: str, quote: str) -> bool:
    """Whether a text begins and ends with `quote`; one quote alone does."""
    return text.startswith(quote) and text.endswith(quote)


def number_or_text(text: str) -> Json:
    """Return the number that Python reads in a text, or the text."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def require_readable(text: str) -> None:
    """Raise ValueError for a text that is too long to be read as a collection."""
    if len(text) > MAX_LITERAL:
        raise ValueError(f"a literal of {len(text)} characters, more than {MAX_LITERAL}")
