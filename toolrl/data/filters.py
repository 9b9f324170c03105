"""Which prompts are kept: each is repaired if it can be, and dropped for the first reason that applies. All is counted, with samples.

    prompt ─ repair ─ contradicts its tools? ─ no call? ─ in a benchmark? ─> screened
    screened, its length ─ too long? ─ seen before? ─ nearly seen before? ─> kept

- **duplicate**: an earlier row has the same conversation, tools (see `fingerprint`) and reference. **conflicting**: it has another
  reference; the earlier row is kept, since nothing says which of the two is right, and which comes first must not depend on what follows.
- **near_duplicate**: see `near`. A row is only ever compared with rows that were kept so far.

For the checks over rows some 200 bytes a row are kept in flat arrays: a million rows take 200 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from toolrl.calls.fault import MAX_SHOWN
from toolrl.calls.render import call_to_json
from toolrl.data.contamination import Hit
from toolrl.data.fingerprint import digest, signatures
from toolrl.data.labels import Contradiction, Fault
from toolrl.data.near import Near, reference_text
from toolrl.data.repair import repaired
from toolrl.data.table import Table, key_of
from toolrl.types import Prompt

UNREADABLE, NO_CALL, CONTAMINATED = "unreadable", "no_call", "contaminated"
TOO_LONG, DUPLICATE, CONFLICTING, NEAR_DUPLICATE = "too_long", "duplicate", "conflicting", "near_duplicate"
REASONS: tuple[str, ...] = (
    UNREADABLE, *(fault.value for fault in Fault), NO_CALL, CONTAMINATED, TOO_LONG, DUPLICATE, CONFLICTING, NEAR_DUPLICATE
)  # fmt: skip
"""Every reason to drop a row, in the order of the checks."""

MAX_SAMPLES = 3


class Drop(NamedTuple):
    """Why a prompt is not kept."""

    reason: str
    detail: str


@dataclass
class Counted:
    """How many rows one reason or kind took, and the first few of them."""

    rows: int = 0
    samples: list[dict[str, str]] = field(default_factory=list)
    """At most MAX_SAMPLES of `{id, detail}`."""

    def add(self, **sample: str) -> None:
        """Count a row."""
        self.rows += 1
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(sample)


def _fault(found: Contradiction | None) -> Drop | None:
    return found and Drop(found.fault.value, f"{found.path}: {found.detail}")


class Filters:
    """Decides prompt by prompt, in the order of the rows, and counts."""

    def __init__(
        self, *, max_length: int | None = None, keep_no_call: bool = True, keep_hits: bool = True,
        find: Callable[[Prompt], Collection[Hit]] = lambda prompt: (),
    ) -> None:  # fmt: skip
        self._max_length, self._keep_no_call, self._keep_hits, self._find = max_length, keep_no_call, keep_hits, find
        self._seen = Seen()
        self.dropped: dict[str, Counted] = {}
        """By reason, only reasons that occurred."""
        self.repaired: dict[str, Counted] = {}
        """Rows by kind of repair; only rows that fit their schemas now."""
        self.hits: dict[str, Counted] = {}
        """Rows by the benchmark they were found in."""

    def screen(self, prompt: Prompt) -> Prompt | None:
        """Return the prompt, repaired, if nothing in the row itself speaks against it; otherwise count why, and return None."""
        mended, repairs, found = repaired(prompt)
        drop = _fault(found)
        if drop is None:
            for kind in dict.fromkeys(repair.kind for repair in repairs):
                detail = next(repair.detail for repair in repairs if repair.kind == kind)
                self.repaired.setdefault(kind, Counted()).add(id=prompt.id, detail=detail)
            drop = self._no_call(mended) or self._contaminated(mended)
        if drop is None:
            return mended
        self.drop(prompt.id, drop)
        return None

    def keep(self, prompt: Prompt, length: int) -> bool:
        """Whether a screened prompt is kept among those before it; if not, count why."""
        drop = self._too_long(length) or self._seen.before(prompt)
        if drop:
            self.drop(prompt.id, drop)
        return drop is None

    def drop(self, prompt_id: str, drop: Drop) -> None:
        """Count a row that is not kept."""
        self.dropped.setdefault(drop.reason, Counted()).add(id=prompt_id, detail=drop.detail)

    def _no_call(self, prompt: Prompt) -> Drop | None:
        return (
            Drop(NO_CALL, "no call is expected; --no-call keep keeps such rows") if not (prompt.reference or self._keep_no_call) else None
        )

    def _contaminated(self, prompt: Prompt) -> Drop | None:
        found = {hit.benchmark: hit for hit in self._find(prompt)}
        for name, hit in found.items():
            self.hits.setdefault(name, Counted()).add(id=prompt.id, benchmark=name, match=hit.match)
        if self._keep_hits or not found:
            return None
        return Drop(CONTAMINATED, "; ".join(f"{name}: {hit.match}" for name, hit in found.items()))

    def _too_long(self, length: int) -> Drop | None:
        if self._max_length is not None and length > self._max_length:
            return Drop(TOO_LONG, f"{length} tokens, at most {self._max_length}")
        return None


class Seen:
    """The prompts that were kept so far, each by its number: what makes a later one superfluous."""

    def __init__(self) -> None:
        self._by_digest, self._near = Table(), Near()
        self._references = array("Q")
        self._ids, self._ends = bytearray(), array("Q")

    def before(self, prompt: Prompt) -> Drop | None:
        """Return why the prompt is not needed beside those before it; if it is, remember it and return None."""
        signed, row = signatures(prompt.tools), len(self._references)
        key = key_of(digest(prompt, signed))
        answer = key_of(reference_text(prompt.reference).encode())
        if (same := self._by_digest.get(key)) is not None:
            if self._references[same] == answer:
                return Drop(DUPLICATE, f"{self._id(same)} has the same conversation, tools and reference")
            calls = ", ".join(map(call_to_json, prompt.reference))[:MAX_SHOWN] or "of no call"
            return Drop(CONFLICTING, f"{self._id(same)} has the same conversation and tools, and not the reference {calls}")
        if (same := self._near.find(prompt, row, signed)) is not None:
            return Drop(NEAR_DUPLICATE, f"{self._id(same)} has nearly the same words, the same tools and the same reference")
        self._by_digest.put(key, row)
        self._references.append(answer)
        self._ids += prompt.id.encode()
        self._ends.append(len(self._ids))
        return None

    def _id(self, row: int) -> str:
        return self._ids[self._ends[row - 1] if row else 0 : self._ends[row]].decode()
