"""The reward that a command names, beside the one that a run has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolrl.config.task import RewardConfig
from toolrl.errors import ConfigError


def weights(words: Sequence[str] | None) -> dict[str, float] | None:
    """Return `NAME=WEIGHT` words as weights by name; None stays None. Raises ConfigError.

    >>> weights(["binary=1", "rules:brief=0.5"])
    {'binary': 1.0, 'rules:brief': 0.5}
    """
    if words is None:
        return None
    found: dict[str, float] = {}
    for word in words:
        name, _, weight = word.rpartition("=")
        try:
            if not name or name in found:
                raise ValueError(word)
            found[name] = float(weight)
        except ValueError as error:
            raise ConfigError(f"--functions: got {word!r}; give each reward function once, as NAME=WEIGHT") from error
    return found


def with_reward(base: RewardConfig, mode: str | None, no_call: str | None, functions: Mapping[str, float] | None) -> RewardConfig:
    """Return `base` with what is given in place of what it has."""
    return replace(
        base,
        mode=base.mode if mode is None else mode,
        no_call=base.no_call if no_call is None else no_call,
        functions=base.functions if functions is None else dict(functions),
    )


def told(reward: RewardConfig) -> str:
    """Return a reward in words.

    >>> told(RewardConfig(functions={"partial_format": 1.0, "names": 0.5}))
    'strict, no call: either, reward = 1 × partial_format + 0.5 × names'
    """
    functions = reward.functions or {"binary": 1.0}
    total = " + ".join(f"{weight:g} × {name}" for name, weight in functions.items())
    no_call = "" if reward.mode == "paper" else f", no call: {reward.no_call}"
    return f"{reward.mode}{no_call}" + ("" if functions == {"binary": 1.0} else f", reward = {total}")
