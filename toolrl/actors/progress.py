"""What this process waits for, of which actors, and who has answered when: kept by `wait`, read for status.json from another thread.

    wait.gather ─ opened ─ answered, answered, … ─ closed ─> Calls <─ waits, actors, failures ─ status.json

Everything here is bounded by the calls in flight and the names of actors. Dictionaries are copied before they are looked through: a copy is
one step of the interpreter, so that no lock is needed and nobody waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from toolrl.errors import RunError

MOST_FAILURES = 16
"""Kinds of failure that are remembered."""
LONGEST = 4000
"""Characters kept of an error: its last words come last, and are many."""


@dataclass(slots=True)
class Call:
    """One wait for one or several actors."""

    what: str
    on: dict[str, None]
    """Names of those that have not answered."""
    since: float
    """Monotonic."""
    deadline_s: float
    setting: str


@dataclass(slots=True)
class Known:
    """An actor as this process knows it."""

    actor_id: str
    """In hex."""
    answered: float | None = None
    """Monotonic; None: not yet."""


@dataclass(slots=True)
class Failed:
    """The last failure of a kind."""

    at: float
    """Monotonic."""
    error: str
    on: tuple[str, ...]
    times: int = 1


@dataclass
class Calls:
    """Of one process."""

    open: dict[int, Call] = field(default_factory=dict)
    actors: dict[str, Known] = field(default_factory=dict)
    failed: dict[tuple[str, tuple[str, ...]], Failed] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def clear(self) -> None:
        """Forget the actors and failures of a run before this one."""
        self.actors.clear()
        self.failed.clear()

    @contextmanager
    def waiting(self, what: str, names: Iterable[str], actors: Mapping[str, Any], deadline_s: float, setting: str) -> Iterator[Call]:
        """Note a wait for actors by their `names`, of whom `actors` has the handles, while the body runs, and the RunError it raises."""
        names = tuple(names)
        for name in names:
            if (actor_id := _id_of(actors.get(name))) and (name not in self.actors or self.actors[name].actor_id != actor_id):
                self.actors[name] = Known(actor_id)
        number = next(self._numbers)
        call = self.open[number] = Call(what, dict.fromkeys(names), time.monotonic(), deadline_s, setting)
        try:
            yield call
        except RunError as error:
            self._fail(setting, names, tuple(call.on), str(error))
            raise
        finally:
            del self.open[number]

    def answered(self, call: Call, name: str) -> None:
        """Note that an actor has answered a call."""
        call.on.pop(name, None)
        if (known := self.actors.get(name)) is not None:
            known.answered = time.monotonic()

    def _fail(self, setting: str, asked: tuple[str, ...], silent: tuple[str, ...], error: str) -> None:
        key = setting, asked
        before = self.failed.pop(key, None)  # the newest is last
        self.failed[key] = Failed(time.monotonic(), error[:LONGEST], silent, before.times + 1 if before else 1)
        while len(self.failed) > MOST_FAILURES:
            self.failed.pop(next(iter(self.failed)))


def _id_of(actor: Any) -> str:
    """Return the id of an actor's handle; a handle that is kept would keep the actor alive."""
    try:
        return str(actor._actor_id.hex())
    except (AttributeError, TypeError):  # a fake
        return ""


CALLS = Calls()
"""Those of this process."""
