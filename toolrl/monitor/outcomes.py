"""How each draw of a run ends, once and in one way: Batch -> an entry for each group, in draw order, with its outcome.

    trained      its completions went into the loss of a version, be it with advantage 0
    dull         its rewards agreed, and another draw took its place (`loop.refill`)
    quarantined  its prompt broke the verifier again and again: no completion has a reward
    discarded    it was sampled and given up, for the reason beside it

A draw that grows too old (`stale`) is cancelled and launched again under its own number, so that no draw ends so: see `controller.window`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from toolrl.types import Batch, ScoredGroup

_QUARANTINED = "quarantined"
"""Reason of the verdicts of a prompt in quarantine."""


LEFT_OUT = "left out: "
"""Begins the reason of a draw that went with a batch which could not be trained, and came again: so it differs from that of the batch."""


class Outcome(StrEnum):
    """The end of a draw."""

    TRAINED = "trained"
    DULL = "dull"
    STALE = "stale"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Entry:
    """A group and the end of its draw."""

    scored: ScoredGroup
    outcome: Outcome
    why: str = ""
    """Why it was discarded; empty for any other outcome."""


def entries_of(batch: Batch) -> list[Entry]:
    """Return the groups that `batch` consumed, in draw order.

    Every group of a prompt in quarantine is `quarantined`, whether it was left in the batch or replaced.
    """
    trained = (Entry(trajectory.scored, _ended(trajectory.scored, Outcome.TRAINED)) for trajectory in batch.trajectories)
    replaced = (Entry(scored, _ended(scored, Outcome.DULL)) for scored in batch.dropped)
    given_up = (Entry(scored, Outcome.DISCARDED, why) for scored, why in batch.discarded)
    return sorted((*trained, *replaced, *given_up), key=lambda entry: entry.scored.group.draw)


def failed_entries(batch: Batch, why: str) -> list[Entry]:
    """Return the groups that went with a batch which could not be trained, in draw order: those in it are discarded for that reason."""
    lost = {trajectory.scored.group.draw for trajectory in batch.trajectories}
    return [Entry(each.scored, Outcome.DISCARDED, why) if each.scored.group.draw in lost else each for each in entries_of(batch)]


def _ended(scored: ScoredGroup, otherwise: Outcome) -> Outcome:
    return Outcome.QUARANTINED if all(verdict.reason == _QUARANTINED for verdict in scored.verdicts) else otherwise
