"""When a version is measured, when it is saved, and whether it is the last: the same for both loops."""

from __future__ import annotations

from toolrl.config.schema import CheckpointConfig
from toolrl.errors import PreemptedError
from toolrl.types import RunState, WeightVersion


def evaluation_due(version: WeightVersion, every: int, last: int) -> bool:
    """Whether a version is measured: the last one, and every so many.

    >>> [evaluation_due(version, 2, 5) for version in (1, 2, 5)]
    [False, True, True]
    """
    return version == last or (every > 0 and version % every == 0)


def checkpoint_due(state: RunState, saved: WeightVersion, config: CheckpointConfig) -> bool:
    """Whether the present version is to be saved. Not the one that is `saved`, as that is which the run starts from."""
    if state.version == saved:
        return False
    new_best = config.best and state.best_version == state.version
    return new_best or (config.every > 0 and state.version % config.every == 0)


def require_end(state: RunState, steps: int) -> None:
    """Raise PreemptedError where a saved run is not at its last version."""
    if state.version == 0:
        raise PreemptedError("preempted before anything was trained: the same command begins anew")
    if state.version < steps:
        raise PreemptedError(f"preempted: version {state.version} of {steps} is saved, and the same command goes on from there")
