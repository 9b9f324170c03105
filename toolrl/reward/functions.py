"""The reward functions: Findings -> number. A reward is their weighted sum.

Values by what is right (under `paper` those of Tool-N1, arXiv 2505.00024, and of its code):

    form, calls equal      yes, yes   no, yes   yes, no   no, no
    binary                     1         0         0        0
    no_think                   1         1         0        0
    partial_format             1        0.8       0.2       0
    partial_names              1        0.8       0.2       0      and 0.2 more where the calls differ, but not their names
    lexicographic             1.2       1.0      -0.2       0

`format`, `match` and `names` are 1 or 0, for weights of one's own; `match` is `no_think` by another name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from toolrl.reward.findings import Findings

Function = Callable[[Findings], float]


def binary(found: Findings) -> float:
    """Return 1 for right form and equal calls."""
    return float(found.fault is None)


def partial_format(found: Findings) -> float:
    """Return 0.2 for the form and 0.8 for equal calls."""
    return (0.2 if found.form else 0.0) + (0.8 if found.match else 0.0)


def partial_names(found: Findings) -> float:
    """Return 0.2 for the form, and 0.8 for equal calls or 0.2 for the right names alone."""
    return (0.2 if found.form else 0.0) + (0.8 if found.match else 0.2 if found.names else 0.0)


def lexicographic(found: Findings) -> float:
    """Return 1.2 for form and equal calls, 1 for equal calls, -0.2 for the form around wrong ones, else 0."""
    if found.match:
        return 1.2 if found.form else 1.0
    return -0.2 if found.form else 0.0


def form_right(found: Findings) -> float:
    """Return 1 for the right form."""
    return float(found.form)


def calls_right(found: Findings) -> float:
    """Return 1 for equal calls, whatever stands around their block."""
    return float(found.match)


def names_right(found: Findings) -> float:
    """Return 1 for the right names of calls, whatever stands around their block."""
    return float(found.names)


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "binary": binary,
        "no_think": calls_right,
        "partial_format": partial_format,
        "partial_names": partial_names,
        "lexicographic": lexicographic,
        "format": form_right,
        "match": calls_right,
        "names": names_right,
    }
)
