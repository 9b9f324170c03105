"""DAPO's soft overlong punishment: what a completion loses for coming near the token limit."""

from __future__ import annotations


def overlong_punishment(tokens: int, max_tokens: int, buffer: int) -> float:
    """Return what to add to the reward of a completion: 0 to -1.

    0 up to `max_tokens - buffer`, then falling linearly to -1 at `max_tokens`.

    Source: DAPO (arXiv 2503.14476, equation 13).

    Args:
        tokens: Length of the completion.
        max_tokens: `sampling.max_tokens`, where sampling ends.
        buffer: Tokens over which the punishment grows; above 0.

    >>> [overlong_punishment(n, max_tokens=100, buffer=20) for n in (80, 85, 100)]
    [0.0, -0.25, -1.0]
    """
    return min(max((max_tokens - buffer - tokens) / buffer, -1.0), 0.0)
