"""Which prompts are kept: each is dropped for the first reason that applies, and every reason is counted with samples.

    prompt ─ contradicts its tools? ─ seen before? ─ too long? ─> kept

The checks stand in order of cost. A duplicate is a prompt whose conversation and tools (see `fingerprint`) were seen in an earlier row;
16 bytes are kept of each, so a million rows take about 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from toolrl.data.fingerprint import digest
from toolrl.data.labels import Fault, contradiction
from toolrl.types import Prompt

DUPLICATE = "duplicate"
TOO_LONG = "too_long"
REASONS: tuple[str, ...] = (*(fault.value for fault in Fault), DUPLICATE, TOO_LONG)
"""Every reason to drop a row, in the order of the checks."""

MAX_SAMPLES = 3


class Drop(NamedTuple):
    """Why a prompt is not kept."""

    reason: str
    detail: str


def fault(prompt: Prompt) -> Drop | None:
    """Return how the prompt's reference contradicts its own tools, or None. A pure function of the prompt."""
    found = contradiction(prompt.reference, prompt.tools)
    return found and Drop(found.fault.value, f"{found.path}: {found.detail}")


@dataclass
class Dropped:
    """How many rows one reason took, and the first few of them."""

    rows: int = 0
    samples: list[dict[str, str]] = field(default_factory=list)
    """At most MAX_SAMPLES of `{id, detail}`."""


class Filters:
    """Decides prompt by prompt, in the order of the rows, and counts."""

    def __init__(self, *, length: Callable[[Prompt], int], max_length: int | None) -> None:
        self._length = length
        self._max_length = max_length
        self._seen: set[bytes] = set()
        self.dropped: dict[str, Dropped] = {}
        """By reason, only reasons that occurred."""

    def keep(self, prompt: Prompt) -> int | None:
        """Return the prompt's length if it is kept; otherwise count why it is not, and return None."""
        drop, length = fault(prompt) or self._duplicate(prompt), 0
        if drop is None:
            length = self._length(prompt)
            drop = self._too_long(length)
        if drop is None:
            return length
        counted = self.dropped.setdefault(drop.reason, Dropped())
        counted.rows += 1
        if len(counted.samples) < MAX_SAMPLES:
            counted.samples.append({"id": prompt.id, "detail": drop.detail})
        return None

    def _duplicate(self, prompt: Prompt) -> Drop | None:
        key = digest(prompt)
        if key in self._seen:
            return Drop(DUPLICATE, "an earlier row has the same conversation and tools")
        self._seen.add(key)
        return None

    def _too_long(self, length: int) -> Drop | None:
        if self._max_length is not None and length > self._max_length:
            return Drop(TOO_LONG, f"{length} tokens, at most {self._max_length}")
        return None
