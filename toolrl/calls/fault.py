"""What is wrong with a text or its calls, and where: the half of a verdict that explains.

A `Difference` is found by comparing values, of which matching makes many; the one that is told becomes a `Fault`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import NamedTuple

from toolrl.calls.render import as_text
from toolrl.calls.schema import ABSENT, Place
from toolrl.types import Json, Reason

MAX_SHOWN = 200
"""Characters of a value that an explanation shows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule, in words.

    `path` leads into the predicted calls (`[0].arguments.city`), or to a reference call that nothing answers
    (`reference[1]`); it is empty where the rule is about the whole text.
    """

    reason: Reason
    path: str = ""
    expected: str = ""
    got: str = ""

    def under(self, prefix: str) -> Fault:
        """Return the same fault seen from one level further out."""
        return replace(self, path=prefix + self.path)


class Difference(NamedTuple):
    """Two values that are not equal, or of which one is ABSENT; `path` begins where the comparison did."""

    reason: Reason
    path: str
    expected: Json
    got: Json
    place: Place | None = None
    """Where the values stand in the schema, if that was looked at."""

    def under(self, prefix: str) -> Difference:
        """Return the same difference seen from one level further out."""
        return self._replace(path=prefix + self.path)

    def told(self, prefix: str) -> Fault:
        """Return the difference in words, `prefix` being the way to where the comparison began."""
        expected, got = ("" if value is ABSENT else describe(value) for value in (self.expected, self.got))
        return Fault(self.reason, prefix + self.path, expected, got)


def step(key: str) -> str:
    """Return the part of a path that leads to `key` of an object: `.city`, or `["odd key"]`."""
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]"


def shown(text: str) -> str:
    """Return `text` short enough to read and fit to be written as UTF-8."""
    short = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    return short.encode("utf-8", "backslashreplace").decode("utf-8")


def describe(value: Json) -> str:
    """Return a value as an explanation shows it: as JSON, or where it is none (NaN) as Python writes it."""
    return shown(as_text(value))
