"""What it means that a request brought no reply: try again, give up this ask, or give up all.

status, headers, body ─ fault_of ─┬─> FaultError    kind: over the limit, failing, … again;  refused: not this ask
                                  └─> UserError, RunError: no ask will be answered, and what to do
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

from toolrl.errors import ConfigError, RunError, ToolRLError, UserError
from toolrl.rollout.chat import UnreadableError, read_json, shown

MAX_HOLD_S = 900.0
"""Longest wait that an endpoint may ask for; what asks for more has no quota left today."""
BACKOFF_S, MAX_BACKOFF_S = 0.5, 30.0
"""The first wait before a request goes out again, and the longest; each is twice the one before, less a random share of up to a half."""
_TOO_MANY, _NO_QUOTA = 429, "insufficient_quota"


class Kind(StrEnum):
    """What came of a request; the word stands in reports."""

    LIMITED = "over the limit"
    LOST = "connection lost"
    LATE = "no answer in time"
    FAILING = "server error"
    UNREADABLE = "unreadable answer"
    REFUSED = "refused"

    @property
    def passes(self) -> bool:
        """Whether the same request may be answered another time."""
        return self is not Kind.REFUSED


class FaultError(Exception):
    """A request without a reply; says so in words that may be printed."""

    def __init__(self, kind: Kind, told: str, wait_s: float | None = None) -> None:
        super().__init__(f"{kind}: {told}")
        self.kind = kind
        self.told = told
        self.wait_s = wait_s
        """Seconds in which nobody is to ask; None: the endpoint did not say."""


@dataclass(frozen=True, slots=True)
class Door:
    """The endpoint as messages name it."""

    url: str
    key_variable: str
    has_key: bool
    """Whether a key is sent."""
    has_answered: bool
    """Whether any request was answered since the start."""


def fault_of(status: int, headers: Mapping[str, str], body: bytes, door: Door) -> FaultError | ToolRLError:
    """Return what an answer with an error's status means."""
    words = said(body)
    told = f"HTTP {status}: {words}"
    if ended := _ends_all(status, body, told, door):
        return ended
    wait_s = retry_after(headers)
    if wait_s is not None and wait_s > MAX_HOLD_S:
        return RunError(
            f"{door.url} wants no request for {wait_s:,.0f} s ({told}); what was answered is kept, and the same command goes on later"
        )
    if status == _TOO_MANY or (status >= 500 and wait_s is not None):
        return FaultError(Kind.LIMITED, told, wait_s)
    if status >= 500 or status in (408, 409, 425):
        return FaultError(Kind.FAILING, told)
    return FaultError(Kind.REFUSED, told)


def said(body: bytes) -> str:
    """Return the words of an error's body, wherever the server has put them, in one short line."""
    try:
        found = read_json(body)
    except UnreadableError:
        return shown(body.decode(errors="replace"))
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return shown(found)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer's headers ask to wait, in any of their forms; None where they do not say.

    >>> retry_after({"retry-after-ms": "250"}), retry_after({"retry-after": "2"}), retry_after({"retry-after": "soon"})
    (0.25, 2.0, None)
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except ValueError:
        return None


def _ends_all(status: int, body: bytes, told: str, door: Door) -> ToolRLError | None:
    """Return the error where it is about the key, the account or the address, and so about every ask."""
    if status == 401 or (status == 403 and not door.has_answered):  # later, 403 is one prompt that a filter will not have
        do = f"{door.key_variable} holds no key that it takes" if door.has_key else f"it wants a key, and {door.key_variable} is not set"
        return ConfigError(f"{door.url} refused the request ({told}); {do}: set it, or endpoint.key_variable")
    if status == 402 or (status == _TOO_MANY and _NO_QUOTA.encode() in body):
        return UserError(f"{door.url}: the account has nothing left ({told}); what was answered is kept: fill it up, and ask again")
    if status in (404, 405) and not door.has_answered:
        return ConfigError(
            f"{door.url} does not know what was asked for ({told}); check the address in model.path, which often ends in /v1, "
            "and endpoint.model"
        )
    return None
