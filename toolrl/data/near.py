"""Near-duplicates: requests in nearly the same words, for which the same tools give the same calls.

    prompt ─> block: tools, reference, roles of the turns ─> words of the turns ─> the latest 64 of its block ─> one 80% alike, or none

Alike is the Jaccard measure of two sets of words (words of both, over words of either), read after NFKC, case folding and without
punctuation; system messages do not count. Up to 32 different words it is exact, but for two words of one 16-bit hash; beyond, it is
estimated from the 32 smallest hashes (standard error 0.07 at 0.8). Only rows that were kept are compared with, so a row is never dropped
for one that is not there; and never for one with other tools, another reference or turns of other roles. About 90 bytes a row of 20 words.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Sequence
from zlib import crc32

from toolrl.data.fingerprint import signatures
from toolrl.data.jsontext import dumps
from toolrl.data.table import Table, key_of
from toolrl.types import Json, Prompt, ToolCall

THRESHOLD = 0.8
MAX_WORDS = 32
"""Words of a row that are remembered: those of the smallest hashes."""
MAX_COMPARED = 64
"""Rows of a block that a new one is compared with, the latest first: a million rows of one block must not take a million squared."""

_WORD = re.compile(r"\w+")
_NONE = 2**64 - 1


def reference_text(reference: tuple[ToolCall, ...]) -> str:
    """Return the reference as text that is the same in any order of calls and keys."""
    return dumps(sorted(dumps([call.name, call.arguments], sort_keys=True) for call in reference))


class Near:
    """Remembers the rows that were kept, by their number."""

    def __init__(self) -> None:
        self._latest = Table()  # block -> its latest entry
        self._rows = array("Q")
        self._before = array("Q")  # entry -> the one before it in its block
        self._ends = array("Q")  # entry -> where its words end
        self._words = array("H")

    def find(self, prompt: Prompt, row: int, signed: Sequence[Json] = ()) -> int | None:
        """Return the row that this one is nearly the same as; if there is none, remember it as `row` and return None.

        `signed` are the `signatures` of its tools, if they are at hand.
        """
        words, block = _words(prompt), _block(prompt, signed or signatures(prompt.tools))
        latest = self._latest.get(block)
        if (same := self._alike(words, latest)) is not None:
            return same
        self._latest.put(block, len(self._rows))
        self._rows.append(row)
        self._before.append(_NONE if latest is None else latest)
        self._words.extend(words)
        self._ends.append(len(self._words))
        return None

    def _alike(self, words: list[int], entry: int | None) -> int | None:
        for _ in range(MAX_COMPARED):
            if entry is None or entry == _NONE:
                break
            start = self._ends[entry - 1] if entry else 0
            if similarity(words, self._words[start : self._ends[entry]].tolist()) >= THRESHOLD:
                return self._rows[entry]
            entry = self._before[entry]
        return None


def similarity(one: list[int], other: list[int]) -> float:
    """Return the Jaccard measure of two sets of words, each given by the (up to) MAX_WORDS smallest of its hashes; 1 for two empty ones."""
    a, b = set(one), set(other)
    either = a | b
    if max(len(a), len(b)) == MAX_WORDS:
        either = set(sorted(either)[:MAX_WORDS])
    return len(a & b & either) / len(either) if either else 1.0


def _words(prompt: Prompt) -> list[int]:
    text = " ".join(message.content for message in prompt.messages if message.role != "system")
    words = set(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
    return sorted({crc32(word.encode()) >> 16 for word in words})[:MAX_WORDS]


def _block(prompt: Prompt, signed: Sequence[Json]) -> int:
    roles = [message.role for message in prompt.messages]
    return key_of(dumps([signed, reference_text(prompt.reference), roles]).encode())
