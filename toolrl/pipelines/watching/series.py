"""A metric over a run of any length in bounded memory: neighbours become their mean when there are too many points.

values ─> points of `every` values each ─ MOST of them ─> pairs are joined, `every` doubles
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 512
"""Points that are kept; a terminal shows no more than two in a column."""


@dataclass
class Series:
    """The values of one metric, in the order of their versions."""

    every: int = 1
    """Values in a point; the last may hold fewer."""
    versions: list[float] = field(default_factory=list)
    """Of each point, the mean of its versions."""
    values: list[float] = field(default_factory=list)
    """Of each point, the mean of its values."""
    in_last: int = 0
    last: float | None = None
    """The newest value as it was."""

    def add(self, version: int, value: float) -> None:
        """Add the value of a version."""
        self.last = value
        if self.values and self.in_last < self.every:
            self.in_last += 1
            self.versions[-1] += (version - self.versions[-1]) / self.in_last
            self.values[-1] += (value - self.values[-1]) / self.in_last
            return
        if len(self.values) == MOST:
            self.versions, self.values = _joined(self.versions), _joined(self.values)
            self.every *= 2
        self.versions.append(float(version))
        self.values.append(value)
        self.in_last = 1


def _joined(values: list[float]) -> list[float]:
    """Return the means of pairs.

    >>> _joined([1.0, 3.0, 5.0, 5.0])
    [2.0, 5.0]
    """
    return [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True)]
