"""What is wrong with a text or its calls, and where: the half of a verdict that explains."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from toolrl.calls.render import to_json
from toolrl.types import Json, Reason

MAX_SHOWN = 200
"""Characters of a value that an explanation shows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule.

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


def step(key: str) -> str:
    """Return the part of a path that leads to `key` of an object: `.city`, or `["odd key"]`."""
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]"


def shown(text: str) -> str:
    """Return `text` short enough to read and fit to be written as UTF-8."""
    short = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    return short.encode("utf-8", "backslashreplace").decode("utf-8")


def describe(value: Json) -> str:
    """Return a JSON value as an explanation shows it."""
    return shown(to_json(value))
