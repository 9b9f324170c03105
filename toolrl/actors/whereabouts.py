"""On which machine an actor lives, and in which process: asked of Ray once for each, by a thread that nobody waits for.

status.json has it, so that whoever looks at a run that hangs can look at its processes too. A control store that does not answer holds up
this thread alone.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import ray
from ray._private import state

AGAIN_S = 2.0
"""Between two questions about actors that had no process yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor lives."""

    host: str = ""
    """Name of its machine."""
    node: str = ""
    """Address of its Ray node."""
    pid: int = 0


class Whereabouts:
    """Finds actors by their ids (hex)."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._wanted: set[str] = set()
        self._wake, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name="whereabouts", daemon=True).start()

    def of(self, actor_id: str) -> Place:
        """Return where an actor is, as far as it is known by now; never waits."""
        if actor_id not in self._places:
            self._wanted.add(actor_id)
            self._wake.set()
        return self._places.get(actor_id, Place())

    def keep(self, actor_ids: set[str]) -> None:
        """Forget all others: a run that replaces its actors for weeks has had many."""
        for gone in self._places.keys() - actor_ids:
            del self._places[gone]
        self._wanted &= actor_ids

    def close(self) -> None:
        """Ask nothing more."""
        self._closed.set()
        self._wake.set()

    def _work(self) -> None:
        hosts: dict[str, str] = {}
        while True:
            self._wake.wait()
            self._wake.clear()
            for actor_id in list(self._wanted):
                if self._closed.is_set():
                    return
                try:
                    found = _place(actor_id, hosts)
                except Exception:  # noqa: BLE001 whatever is wrong with the cluster, here it means that nothing is known
                    continue
                if found.pid:
                    self._places[actor_id] = found
                    self._wanted.discard(actor_id)
            if self._closed.wait(AGAIN_S):
                return
            if self._wanted:
                self._wake.set()


def _place(actor_id: str, hosts: dict[str, str]) -> Place:
    info = state.actors(actor_id) if ray.is_initialized() else {}
    if not info or not info["Pid"]:
        return Place()
    node = info["Address"]["NodeID"]
    if node not in hosts:
        hosts.update({each["NodeID"]: each["NodeManagerHostname"] for each in ray.nodes()})
    return Place(hosts.get(node, ""), info["Address"]["IPAddress"], info["Pid"])
