"""The rows of one version, draw by draw: what an audit holds of the rollouts at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.outcomes import Outcome

NEVER_NULL = (
    "version", "draw", "sample", "attempt", "trained", "outcome", "prompt_id", "reason", "format_right", "content_right", "num_tokens",
    "finish_reason", "oldest_version",
)  # fmt: skip
COLUMNS = (*NEVER_NULL, "outcome_reason", "reward", "advantage", "loss_share", "seed")

Row = Mapping[str, Any]
"""COLUMNS and their values."""


@dataclass(frozen=True)
class Account:
    """What the file of a version says."""

    version: int
    """Of the file's name."""
    draws: Mapping[int, Sequence[Row]]
    """The rows of each draw, as they stand; draws in ascending order, at least one."""

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [row for rows in self.draws.values() for row in rows]

    @property
    def attempt(self) -> int:
        """Which attempt wrote it, going by its first row."""
        return int(next(iter(self.draws.values()))[0]["attempt"])

    @property
    def trained(self) -> int:
        """Groups of its batch."""
        return sum(bool(rows[0]["trained"]) for rows in self.draws.values())


def read_account(version: int, path: Path) -> Account:
    """Read the file of a version. Raises RunFolderError where it is none that a run wrote."""
    table = rollouts.read_file(path, COLUMNS)
    if gaps := [name for name in NEVER_NULL if table.column(name).null_count]:
        raise RunFolderError(f"{path}: rows without {', '.join(gaps)}; put back the file that the run wrote")
    if not table.num_rows:
        raise RunFolderError(f"{path}: no rows; put back the file that the run wrote")
    draws: dict[int, list[Row]] = {}
    for row in table.to_pylist():
        draws.setdefault(row["draw"], []).append(row)
    return Account(version, dict(sorted(draws.items())))


def outcome_of(rows: Sequence[Row]) -> Outcome | None:
    """Return how a draw ended, going by its first row; None where that is no word for it."""
    found = rows[0]["outcome"]
    return Outcome(found) if found in set(Outcome) else None


def dull(rows: Sequence[Row]) -> bool:
    """Whether the rewards of a group agree: see `types.ScoredGroup.dull`."""
    return len({row["reward"] for row in rows if row["reward"] is not None}) < 2
