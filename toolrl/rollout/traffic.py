"""What goes over the line to an endpoint, counted while it is asked: for whoever tells a person of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from toolrl.rollout.faults import Kind


@dataclass
class Traffic:
    """Fills while an endpoint is asked; stays empty where our own engines are."""

    sent: int = 0
    """Requests, those that were sent again included."""
    faults: Counter[Kind] = field(default_factory=Counter)
    """Requests without a reply, by what came of them."""
    held_s: float = 0.0
    """Seconds in which the endpoint wanted no request."""
    held_for_s: Callable[[], float] = lambda: 0.0
    """Seconds until it wants one again."""
