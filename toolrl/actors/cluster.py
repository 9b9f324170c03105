"""The Ray cluster of a run: started here or attached to, asked what it has, and given back.

A local cluster listens on loopback only and ends with the driver, however the driver ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from toolrl.actors.placement import Node, Placement
from toolrl.actors.reaper import reaped
from toolrl.config.schema import ClusterConfig
from toolrl.errors import DeadlineError, PlacementError

LOCAL = "local"
_NVIDIA = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU of this machine: counted without torch, and before anything starts."""
_OBJECT_STORE_BYTES = 512 * 2**20
"""Of a local cluster: a batch of token arrays is a few MiB, and shared memory is scarce on small machines."""


def local_nodes(cluster: ClusterConfig) -> tuple[Node, ...]:
    """Return the one node that a local cluster would have, without starting it."""
    cpus = cluster.num_cpus or max(len(os.sched_getaffinity(0)), 2)
    return (Node("this machine", float(cpus), float(len(list(_NVIDIA.glob("*"))) if cluster.device == "cuda" else 0)),)


@contextmanager
def connected(cluster: ClusterConfig) -> Iterator[None]:
    """Start or join the cluster, and disconnect at the end. Raises PlacementError where it cannot be reached."""
    with reaped() if cluster.address == LOCAL else nullcontext(), _joined(cluster):
        yield


def live_nodes() -> tuple[Node, ...]:
    """Return the nodes of the cluster that this process is connected to."""
    return tuple(
        Node(node["NodeManagerAddress"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    )


@contextmanager
def _joined(cluster: ClusterConfig) -> Iterator[None]:
    try:
        ray.init(logging_level="ERROR", log_to_driver=False, **_init_arguments(cluster))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise PlacementError(f"cluster.address: cannot reach a Ray cluster at {cluster.address!r}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _init_arguments(cluster: ClusterConfig) -> dict[str, Any]:
    if cluster.address != LOCAL:
        return {"address": cluster.address}
    return {
        "address": LOCAL,
        "num_cpus": int(local_nodes(cluster)[0].cpus),
        "object_store_memory": _OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }


@contextmanager
def granted(placement: Placement, *, timeout_s: float) -> Iterator[PlacementGroup]:
    """Hold the bundles of `placement` as one Ray placement group.

    Raises DeadlineError with the table where others hold what is needed.
    """
    group = placement_group([{"CPU": b.cpus, **({"GPU": b.gpus} if b.gpus else {})} for b in placement.bundles], strategy="PACK")
    try:
        try:
            ray.get(group.ready(), timeout=timeout_s)
        except GetTimeoutError as error:
            free = ray.available_resources()
            raise DeadlineError(
                f"the cluster did not grant the placement within {timeout_s:g} s: free now are {free.get('CPU', 0):g} CPUs and "
                f"{free.get('GPU', 0):g} GPUs; other jobs hold the rest\n{placement.table()}"
            ) from error
        yield group
    finally:
        remove_placement_group(group)


def nodes_of(group: PlacementGroup) -> list[str]:
    """Return the id of the node of each bundle of a granted `group`."""
    on: dict[int, str] = ray.util.placement_group_table(group)["bundles_to_node_id"]
    return [on[index] for index in range(len(on))]


def options_for(role: str, placement: Placement, group: PlacementGroup, *, cpus: float, gpus: float, env: dict[str, str]) -> dict[str, Any]:
    """Return the Ray options of the actor `role`: its bundle, its share of it, its environment."""
    index = next(i for i, bundle in enumerate(placement.bundles) if role in bundle.roles)
    return {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "max_restarts": 0,
        "runtime_env": {"env_vars": env},
        "scheduling_strategy": ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=index
        ),
    }
