"""The Ray cluster of a run: started here or attached to, asked what it has, and given back.

A local cluster is its owner's alone (`access`) and ends with the driver, however the driver ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from toolrl.actors.access import FOLDER, LOOPBACK, MODE, TOKEN, is_open, private, private_folder, temporary_in, warning
from toolrl.actors.placement import Node, Placement
from toolrl.actors.reaper import reaped
from toolrl.config.schema import ClusterConfig
from toolrl.errors import DeadlineError, PlacementError
from toolrl.monitor.environment import count_gpus

LOCAL = "local"
_OBJECT_STORE_BYTES = 512 * 2**20
"""Of a local cluster: a batch of token arrays is a few MiB, and shared memory is scarce on small machines."""
_TASKS_REMEMBERED = 4000
"""Of a local cluster, which has no dashboard to show more: Ray's own 100,000 calls are 120 MiB, reached after 1,500 steps of the demo."""


def local_nodes(cluster: ClusterConfig) -> tuple[Node, ...]:
    """Return the one node that a local cluster would have, without starting it."""
    cpus = cluster.num_cpus or max(len(os.sched_getaffinity(0)), 2)
    return (Node("this machine", float(cpus), float(count_gpus() if cluster.device == "cuda" else 0)),)


@contextmanager
def connected(cluster: ClusterConfig) -> Iterator[None]:
    """Start or join the cluster, and disconnect at the end; warns on standard error where it is open to all.

    Raises:
        PlacementError: It cannot be reached.
    """
    with _own(cluster) as where, _joined(cluster, where):
        address = ray.get_runtime_context().gcs_address
        if is_open(address):
            print(warning(address), file=sys.stderr, flush=True)
        yield


def live_nodes() -> tuple[Node, ...]:
    """Return the nodes of the cluster that this process is connected to."""
    return tuple(
        Node(node["NodeManagerAddress"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    )


@contextmanager
def _own(cluster: ClusterConfig) -> Iterator[dict[str, str]]:
    """Keep a cluster that is started in the body to its owner; yield where it has its files, unless the user says that."""
    if cluster.address != LOCAL:
        yield {}
        return
    folder = private_folder()
    with reaped(folder), private(), temporary_in(folder):
        yield {} if os.environ.get(FOLDER) else {"_temp_dir": str(folder / "ray")}  # one below: Ray opens its own to everybody


@contextmanager
def _joined(cluster: ClusterConfig, where: dict[str, str]) -> Iterator[None]:
    try:
        ray.init(logging_level="ERROR", log_to_driver=False, **where, **_init_arguments(cluster))
    except (ConnectionError, RuntimeError, ValueError) as error:
        if cluster.address == LOCAL:
            raise PlacementError(f"cannot start Ray on this machine: {error}; set {FOLDER} to a folder, and its logs stay there") from error
        raise PlacementError(
            f"cluster.address: cannot reach a Ray cluster at {cluster.address!r}: {error}; where it asks for a token, set {MODE}=token and "
            f"{TOKEN}"
        ) from error
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
        "_node_ip_address": LOOPBACK,
        "_system_config": {"task_events_max_num_task_in_gcs": _TASKS_REMEMBERED},
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
