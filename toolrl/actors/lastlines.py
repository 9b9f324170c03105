r"""What an actor that died or is silent was doing: whether it lives, where, and what it said last. For the errors of those that waited.

    actor ─ Ray's control store ─> alive | dead, and why | not started      + node, process
          ─ its log files, which Ray keeps on its node ─> the last lines     read here, or by a small task on that node

The answer never fails and never takes longer than `LIMIT_S`: an error that waits for its own explanation would be a second one. It is
found once for all that wait for the same actor.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import dropwhile
from pathlib import Path
from typing import Any

import ray
from ray._private import state
from ray._private import worker as ray_worker
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

LIMIT_S = 5.0
"""Longest wait for all of it; a task on another node has less."""
_TASK_S = 4.0
_FRESH_S = 5.0
"""So long an answer is given again."""
_TAIL_BYTES = 2**16
_MAX_LINE = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MARKS = (":job_id:", ":actor_name:", ":task_name:")
"""What Ray itself writes into a process's output, for its own tools."""
_CAUSES_FOLLOW = re.compile(r" (Some common causes include|There are some potential root causes)")

_asked: dict[str, tuple[float, Future[str]]] = {}


async def last_lines(actor: Any, n: int = 12) -> str:
    """Return how `actor` (a handle, or the id in hex) is, and up to `n` last lines each of its standard output and error."""
    actor_id: str = actor if isinstance(actor, str) else actor._actor_id.hex()
    answer = asyncio.ensure_future(asyncio.wrap_future(_asking(actor_id, n)))
    done, _ = await asyncio.wait({answer}, timeout=LIMIT_S)  # left to itself if late: others wait for it too
    return answer.result() if done else f"how it is could not be found out within {LIMIT_S:g} s"


def reason(death: RayActorError) -> str:
    """Return why an actor died, in Ray's words without their advice; for one whose constructor raised, what it raised."""
    lines = str(death).splitlines()
    if death.actor_init_failed:
        last_frame = max((i for i, line in enumerate(lines) if line.startswith('  File "')), default=0)
        raised = dropwhile(lambda line: line.startswith("    "), lines[last_frame + 1 :])  # a frame's source
        return "\n".join(raised) or lines[-1]
    found = next((line for line in lines if line.startswith("The actor is dead because")), lines[0] if lines else type(death).__name__)
    return _CAUSES_FOLLOW.split(found.removeprefix("The actor is dead because "))[0].rstrip(". ")


def _asking(actor_id: str, n: int) -> Future[str]:
    """Return the answer that somebody found just now or is finding, else let a thread find it: one that nobody has to wait for at exit."""
    now = time.monotonic()
    for old in [key for key, (at, _) in _asked.items() if now - at > _FRESH_S]:
        del _asked[old]
    if actor_id not in _asked:
        future: Future[str] = Future()
        _asked[actor_id] = now, future
        threading.Thread(target=lambda: future.set_result(_found(actor_id, n)), name="last lines", daemon=True).start()
    return _asked[actor_id][1]


def _found(actor_id: str, n: int) -> str:
    try:
        return _told(actor_id, n)
    except Exception as error:  # noqa: BLE001 whatever is wrong with a cluster, the error that this is for must be told
        return f"how it is could not be found out: {type(error).__name__}: {error}"


def _told(actor_id: str, n: int) -> str:
    info = state.actors(actor_id)
    if not info:
        return "the cluster does not know it"
    pid, node, where = info["Pid"], info["Address"]["NodeID"], info["Address"]["IPAddress"]
    if info["State"] in ("DEPENDENCIES_UNREADY", "PENDING_CREATION"):
        return "it has not started: no node has had room for it, or its process is still coming up"
    how = f"it is {'dead' if info['State'] == 'DEAD' else 'alive'}, process {pid} on node {where}"
    if not pid:
        return f"{how}; it never had a process"
    if _is_here(node):
        path, lines = read(pid, n)
    else:
        reading = ray.remote(read).options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False), name="last lines"
        )
        try:
            path, lines = ray.get(reading.remote(pid, n), timeout=_TASK_S)
        except Exception as error:  # noqa: BLE001 the node may be gone with it
            return f"{how}; its last lines cannot be read: {type(error).__name__}"
    return "\n".join([f"{how}; its last lines ({path}):" if lines else f"{how}; it has written nothing ({path})", *lines])


def _is_here(node: str) -> bool:
    return bool(node == ray.get_runtime_context().get_node_id())


def read(pid: int, n: int) -> tuple[str, list[str]]:
    """Return the log of process `pid` of this node, and the last `n` lines each of its standard output and error, marked."""
    logs = Path(ray_worker._global_node.get_logs_dir_path())  # type: ignore[union-attr] # this process is connected to Ray
    errors = max(logs.glob(f"worker-*-{pid}.err"), key=lambda path: path.stat().st_mtime, default=logs / f"worker-*-{pid}.err")
    return str(errors), [*_tail(errors.with_suffix(".out"), "out", n), *_tail(errors, "err", n)]


def _tail(path: Path, mark: str, n: int) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = _COLOUR.sub("", file.read().decode(errors="replace")).splitlines()
    told = [line for line in lines if line.strip() and not line.startswith(_MARKS)]
    yield from (f"  {mark}| {line[:_MAX_LINE]}" for line in told[-n:])
