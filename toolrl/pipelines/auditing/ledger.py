"""What the versions of a run add up to, one after the other: draws by outcome, optimizer steps, the best score, who wrote what.

Of the versions before, it holds two numbers each.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from toolrl.monitor.lines import Line
from toolrl.monitor.outcomes import Outcome
from toolrl.pipelines.auditing.account import Account

State = dict[str, float | int | None]


@dataclass
class Stretch:
    """What an attempt has left in the surviving lineage."""

    first: int
    last: int
    draws: int = 0


@dataclass
class Ledger:
    """Grows version by version."""

    taken_after: array[int] = field(default_factory=lambda: array("q", [0]))
    """Draws taken by the first versions, by how many they are."""
    written_by: array[int] = field(default_factory=lambda: array("i", [0]))
    """Attempt of each version; 0: not known."""
    newest_attempt: int = 0
    draws: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    """Draws and completions by outcome."""
    discarded: Counter[str] = field(default_factory=Counter)
    """Draws of the surviving lineage that were discarded, by why."""
    reasons: Counter[str] = field(default_factory=Counter)
    attempts: dict[int, Stretch] = field(default_factory=dict)
    completions: int = 0
    """Trained, as the lines have it."""
    optimizer_steps: int | None = 0
    """None: some line does not say."""
    best_heldout: float | None = None
    best_version: int | None = None
    states: dict[int, State] = field(default_factory=dict)
    """What a checkpoint of a version must say, of those that there are."""

    @property
    def taken(self) -> int:
        """Draws taken so far."""
        return self.taken_after[-1]

    def state(self, version: int) -> State:
        """Return what a checkpoint of `version`, the newest one so far, must say; what is not known is not in it."""
        steps = {} if self.optimizer_steps is None else {"optimizer_steps": self.optimizer_steps}
        best = {"best_heldout": self.best_heldout, "best_version": self.best_version}
        return {"version": version, "draws_taken": self.taken, **steps, **best}

    def tally(self, account: Account) -> None:
        """Count the ends of a version's draws."""
        for rows in account.draws.values():
            outcome = str(rows[0]["outcome"])
            self.draws[outcome] += 1
            self.rows[outcome] += len(rows)
            if outcome == Outcome.DISCARDED:
                self.discarded[str(rows[0]["outcome_reason"])] += 1
            self.reasons.update(row["reason"] for row in rows)
        stretch = self.attempts.setdefault(account.attempt, Stretch(account.version, account.version))
        stretch.last, stretch.draws = account.version, stretch.draws + len(account.draws)

    def follow(self, draws: int, attempt: int) -> None:
        """Put a version after those before: the draws it took, and who wrote it (0: not known)."""
        self.taken_after.append(self.taken + draws)
        self.written_by.append(attempt)
        self.newest_attempt = max(self.newest_attempt, attempt)

    def learn(self, version: int, line: Line | None, minibatches: int) -> None:
        """Follow what only the lines tell: optimizer steps, completions trained, held-out scores."""
        line = line or {}
        if version:
            skipped = number(line, "learner/skipped_steps", minibatches)
            known = self.optimizer_steps is not None and skipped is not None
            self.optimizer_steps = (self.optimizer_steps or 0) + minibatches - (skipped or 0) if known else None
            self.completions += number(line, "loop/completions", 2**40) or 0
        score = line.get("heldout/reward")
        if isinstance(score, int | float) and (self.best_heldout is None or score > self.best_heldout):
            self.best_heldout, self.best_version = score, version


def number(line: Line | None, name: str, most: int) -> int | None:
    """Return a count of a line, None where it has none from 0 to `most`."""
    value = (line or {}).get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value <= most else None
