"""Python literals (and true, false, null) -> JSON values, by recursive descent; nothing is ever evaluated.

Total and linear: any text gives a value and where it ends, or a DataError with the place. Whole numbers stay int, all others become
Decimal; a tuple becomes a list. What JSON has no value for is an error: sets, bytes, complex numbers, keys that are no text.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeVar

from toolrl.calls.jsontext import MAX_DEPTH, MAX_DIGITS
from toolrl.errors import DataError
from toolrl.types import Json

T = TypeVar("T")

WORDS: dict[str, Json] = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}

_SPACE = re.compile(r"\s*+")
_WORD = re.compile(r"[^\W\d]\w*+")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]++|0[oO][0-7_]++|0[bB][01_]++|(?:[0-9][0-9_]*+\.?[0-9_]*+|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9][0-9_]*+)?)"
)
_STRING = re.compile(
    r'(?P<prefix>[a-zA-Z]{0,2})(?:"""(?P<a>(?:[^"\\]|\\.|"(?!""))*+)"""|\'\'\'(?P<b>(?:[^\'\\]|\\.|\'(?!\'\'))*+)\'\'\''
    r'|"(?P<c>(?!"")(?:[^"\\]|\\.)*+)"|\'(?P<d>(?!\'\')(?:[^\'\\]|\\.)*+)\')',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|N\{([^}]*+)\}|(.))", re.DOTALL)
_ESCAPED = {"\n": "", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_literal(text: str, start: int = 0) -> tuple[Json, int]:
    """Return the value that begins at `start`, and where it ends. Raises DataError with the place."""
    reader = LiteralReader(text, start)
    return reader.value(), reader.at


class LiteralReader:
    """A text and how far it is read."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at
        self._depth = 0

    def value(self) -> Json:
        """Read the value that begins here, white space aside."""
        head = self.peek()
        if head == "[":
            return self._nested(lambda: self.items("]", self.value)[0])
        if head == "(":
            return self._nested(self._tuple)
        if head == "{":
            return self._nested(self._dict)
        if head in "\"'":
            return self._strings()
        if word := _WORD.match(self.text, self.at):
            return self._word(word[0])
        return self._number()

    def items(self, closing: str, item: Callable[[], T]) -> tuple[list[T], bool]:
        """Read items between commas up to `closing`; the opening bracket stands here. Return them and whether a comma ended them."""
        self.at += 1
        found: list[T] = []
        comma = False
        while self.peek() != closing:
            if found and not comma:
                self.fail(f"expected ',' or {closing!r}")
            found.append(item())
            if comma := self.peek() == ",":
                self.at += 1
        self.at += 1
        return found, comma

    def peek(self) -> str:
        """Return the next character that is no white space. Raises DataError at the end of the text."""
        self.skip_space()
        if self.at == len(self.text):
            self.fail("expected more")
        return self.text[self.at]

    def skip_space(self) -> None:
        """Go to the next character that is no white space, or the end."""
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string

    def fail(self, problem: str) -> NoReturn:
        """Raise DataError with the place."""
        got = repr(self.text[self.at : self.at + 40]) if self.at < len(self.text) else "the end"
        raise DataError(f"character {self.at}: {problem}, got {got}")

    def _nested(self, read: Callable[[], Json]) -> Json:
        if self._depth == MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}")
        self._depth += 1
        value = read()
        self._depth -= 1
        return value

    def _tuple(self) -> Json:
        items, comma = self.items(")", self.value)
        return items[0] if len(items) == 1 and not comma else items

    def _dict(self) -> dict[str, Json]:
        found: dict[str, Json] = {}

        def pair() -> None:
            start = self.at
            key = self.value()
            if self.peek() != ":":
                self.at = start
                self.fail("expected key: value, as a set is no JSON value")
            if not isinstance(key, str) or key in found:
                self.at = start
                self.fail("the key stands twice" if isinstance(key, str) else "expected text as a key")
            self.at += 1
            found[key] = self.value()

        self.items("}", pair)
        return found

    def _word(self, word: str) -> Json:
        if self.text[self.at + len(word) : self.at + len(word) + 1] in ("'", '"'):
            return self._strings()
        if word not in WORDS:
            self.fail("expected a value; text must stand in quotes")
        self.at += len(word)
        return WORDS[word]

    def _strings(self) -> str:
        """Read one string, or several that stand side by side and are one."""
        parts = []
        while token := _STRING.match(self.text, self.at):
            parts.append(self._string(token))
            self.at = token.end()
            self.skip_space()
        if not parts:
            self.fail("expected a string that ends")
        return self._paired("".join(parts))

    def _string(self, token: re.Match[str]) -> str:
        prefix = token["prefix"].lower()
        if prefix not in ("", "r", "u"):
            self.fail("bytes and format strings are no JSON values" if prefix in ("b", "br", "rb", "f", "fr", "rf") else "expected a value")
        body = next(token[name] for name in "abcd" if token[name] is not None)
        return body if prefix == "r" else _ESCAPE.sub(self._unescape, body)

    def _unescape(self, found: re.Match[str]) -> str:
        octal, hexadecimal, name, other = found[1], found[2] or found[3] or found[4], found[5], found[6]
        if other is not None and other not in "xuUN":
            return _ESCAPED.get(other, found[0])  # Python keeps the backslash of an escape that it does not know
        try:
            return unicodedata.lookup(name) if name is not None else chr(int(octal, 8) if octal else int(hexadecimal or "-", 16))
        except (KeyError, ValueError, OverflowError):
            self.fail(f"{found[0]!r} is no character")

    def _paired(self, text: str) -> str:
        """Join the halves of surrogate pairs, which JSON's habit of escapes leaves."""
        if not _SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fail("half of a surrogate pair is no character; before here")

    def _number(self) -> int | Decimal:
        found = _NUMBER.match(self.text, self.at)
        if not found or re.match(r"[\w.]", self.text[found.end() : found.end() + 1]):
            self.fail("expected a value")
        digits = found[0]
        if len(digits) > MAX_DIGITS:
            self.fail(f"a number of {len(digits)} digits")
        try:
            number = int(digits, 0) if "x" in digits.lower() or not re.search("[.eE]", digits) else Decimal(digits)
        except (ValueError, InvalidOperation):
            self.fail("expected a number in range")
        if isinstance(number, Decimal) and math.isinf(float(number)):
            self.fail("expected a number in range")
        self.at = found.end()
        return number
