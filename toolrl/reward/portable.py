"""Can a verifier travel to the reward workers? Asked before anything starts, and answered by the name of the part that cannot."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

from toolrl.errors import ConfigError
from toolrl.protocols import Verifier


def require_portable(verifier: Verifier) -> None:
    """Raise ConfigError where `verifier` cannot be pickled, naming the innermost part of it that is to blame."""
    why = _hindrance(verifier)
    if why is None:
        return
    part: object = verifier
    while (inner := next(((each, found) for each in _parts(part) if (found := _hindrance(each)) is not None), None)) is not None:
        part, why = inner
    whose = "" if part is verifier else f", in {_name(verifier)},"
    raise ConfigError(
        f"reward.functions: {_name(part)}{whose} cannot be sent to the reward workers: {why}; define it at the top of a "
        "module, and let locks, files and connections be made by the function itself or by its module, once in each worker"
    )


def _hindrance(value: object) -> str | None:
    """Return why `value` cannot be pickled, or None where it can."""
    try:
        pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 a part may be a user's, and raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _parts(value: object) -> Iterator[object]:
    """Return what `value` holds, as far as pickling would take it along."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, tuple | list):
        yield from value
    else:
        names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
        yield from (getattr(value, name) for name in names if hasattr(value, name))


def _name(value: object) -> str:
    """Return what a user calls it: a function by its name, an object by that of its class."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"  # type: ignore[attr-defined]
