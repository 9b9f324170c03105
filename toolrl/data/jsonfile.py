"""Files of JSON -> their values, one at a time and exactly: whole numbers are int, others Decimal, and no object is merged with another.

A file is one array or a value a line, told by its first character. Arrow's readers are not used for it: they make every number of a column
with one fraction in it float, and a struct gets the keys of all its siblings, null where a row has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from toolrl.data.jsontext import loads, loads_at
from toolrl.errors import DataError
from toolrl.types import Json

CHUNK_CHARS = 1 << 16
MAX_ELEMENT_CHARS = 1 << 24
"""Longest element of an array."""

_SPACE = " \t\n\r"


def json_rows(file: Path) -> Iterator[tuple[int, Json]]:
    """Yield each value with its number: of the line, or in an array of the element, from 1. Raises DataError."""
    if file.exists() and not file.is_file():  # a pipe would be waited for without end
        raise DataError(f"{file}: not a file; name another")
    try:
        with file.open(encoding="utf-8-sig") as text:
            first = text.read(CHUNK_CHARS).lstrip(_SPACE)[:1]
    except UnicodeDecodeError:  # the line will be named
        first = ""
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); allow it, or name another file") from error
    yield from _elements(file) if first == "[" else _lines(file)


def _lines(file: Path) -> Iterator[tuple[int, Json]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield number, loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except ValueError as error:  # UnicodeDecodeError is one
                raise DataError(f"{file}:{number}: not one JSON value in UTF-8: {error}; mend or remove the line") from error


def _elements(file: Path) -> Iterator[tuple[int, Json]]:
    with file.open(encoding="utf-8-sig") as text:
        window = _Window(text)
        number = 0
        try:
            window.take("[")
            while window.peek() != "]":
                if number:
                    window.take(",")
                number += 1
                yield number, window.value()
            window.take("]")
            if rest := window.peek():
                raise ValueError(f"more text after the array: {rest!r}")
        except ValueError as error:
            raise DataError(f"{file}:{number or 1}: not an array of JSON values in UTF-8: {error}; mend the file") from error


class _Window:
    """A part of a text, moved over it: it holds a chunk, or one element if that is longer."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._held = ""
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is no white space, or "" at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._held) or not self._more(CHUNK_CHARS):
                return self._held[self._at : self._at + 1]

    def take(self, expected: str) -> None:
        if (got := self.peek()) != expected:
            raise ValueError(f"expected {expected!r}, got {repr(got) if got else 'the end of the file'}")
        self._at += 1

    def value(self) -> Json:
        """Return the value that begins here; where it does not end in what is held, twice as much is read."""
        self.peek()
        while True:
            try:
                value, end = loads_at(self._held, self._at)
            except ValueError:
                held = len(self._held) - self._at
                if held > MAX_ELEMENT_CHARS or not self._more(max(held, CHUNK_CHARS)):
                    raise
            else:
                if end < len(self._held) or not self._more(CHUNK_CHARS):  # a number may go on
                    self._at = end
                    return value

    def _more(self, chars: int) -> bool:
        if added := self._text.read(chars):
            self._held = self._held[self._at :] + added
            self._at = 0
        return bool(added)
