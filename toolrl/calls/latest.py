"""What is worked out of a prompt is kept until the next prompt comes: its completions are judged one after another."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import is_
from typing import ParamSpec, TypeVar

from toolrl.types import Prompt

P = ParamSpec("P")
T = TypeVar("T")

_FROZEN = (tuple, Prompt)


def kept(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function of frozen nouns return its last result again where it is given the very same objects."""
    last: tuple[tuple[object, ...], T] | None = None

    @wraps(function)
    def remembering(*args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal last
        if (seen := last) is not None and len(seen[0]) == len(args) and all(map(is_, seen[0], args)):
            return seen[1]
        result = function(*args, **kwargs)
        if not kwargs and all(isinstance(arg, _FROZEN) for arg in args):  # a list may hold other things when it comes again
            last = (args, result)
        return result

    return remembering
