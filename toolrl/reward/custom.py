"""A user's own reward: `module:function`, called as a verifier is, with (prompt, text), returning a Verdict or a number.

The module is imported when the reward is made, and again by name in each reward worker, with the folder the run was started
in first on the path: it must be there on every node.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import TypeGuard

from toolrl.calls.fault import shown
from toolrl.errors import ConfigError
from toolrl.types import Prompt, Reason, Verdict

EXPECTED = "a finite number or a Verdict"


@dataclass(frozen=True)
class Custom:
    """The function `path`, found from `folder`. Travels by name, never by value. Raises ConfigError where there is none."""

    path: str
    folder: str
    _function: Callable[[Prompt, str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_function", _imported(self.path, self.folder))

    def __call__(self, prompt: Prompt, text: str) -> Verdict | float:
        """Return what the function says of `text`, a number or a Verdict.

        What is neither a finite number nor a sound Verdict is `verifier_error`; an exception of the function is the caller's.
        """
        found = self._function(prompt, text)
        if isinstance(found, Verdict) and _is_sound(found):
            return found
        if _is_number(found):
            return float(found)
        return Verdict(None, Reason.VERIFIER_ERROR, expected=EXPECTED, got=shown(f"{self.path} returned {found!r}"))

    def __reduce__(self) -> tuple[type[Custom], tuple[str, str]]:
        return type(self), (self.path, self.folder)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and math.isfinite(value)


def _is_sound(verdict: Verdict) -> bool:
    """Whether a verdict has either a reward or the reason of a failure, and words beside it: it must travel."""
    words = (verdict.path, verdict.expected, verdict.got)
    if not isinstance(verdict.reason, Reason) or not all(isinstance(word, str) for word in words):
        return False
    return verdict.reward is None if verdict.reason.is_failure else _is_number(verdict.reward)


def _imported(path: str, folder: str) -> Callable[[Prompt, str], object]:
    """Return the function `module:function`. Raises ConfigError."""
    name, _, attribute = path.partition(":")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = importlib.import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # a module may be a script
        raise ConfigError(
            f"reward.functions: cannot import {path!r}: {type(error).__name__}: {error}; "
            f"give module:function, importable from {folder} or installed"
        ) from error
    if not callable(found):
        raise ConfigError(f"reward.functions: {path!r} is a {type(found).__name__}; name a function of (prompt, text)")
    return found
