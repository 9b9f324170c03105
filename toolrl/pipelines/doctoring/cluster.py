"""The nodes of a Ray cluster, held against each other: clocks, versions, ports, disks, shared memory, and an all-reduce between them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable

from toolrl.actors.cluster import connected
from toolrl.actors.survey import MEGABYTES, NodeFacts, Survey, survey
from toolrl.config.schema import ClusterConfig
from toolrl.pipelines.doctoring.findings import Report, size
from toolrl.pipelines.doctoring.head import check_head, check_open
from toolrl.pipelines.doctoring.machine import LEAST_DISK_BYTES, LEAST_FILES, LOW_DISK_BYTES, OBJECT_STORE_BYTES

AUTO = "auto"
"""The cluster that this machine is a node of."""
SHARED, TEMPORARY = "/dev/shm", "/tmp"
SKEW_S, FAR_S = 1.0, 30.0
"""Clocks that differ by more are a warning; by more than the second, certificates, munge and token checks begin to fail."""
SLOW_BYTES_PER_S = 50e6
"""Below it, a push of 15 GB takes five minutes."""


def check_cluster(report: Report, address: str, say: Callable[[str], None]) -> None:
    """Join the cluster at `address`, and look at all of it. Raises PlacementError where it cannot be joined, ConfigError."""
    if address != AUTO and not check_head(report, address):
        return
    say(f"joining {address} …")
    with connected(ClusterConfig(address=address)):
        import ray

        gcs = ray.get_runtime_context().gcs_address
        say("asking every node …")
        found = survey([SHARED, TEMPORARY])
    check_open(report, gcs)
    judge(report, found)


def judge(report: Report, found: Survey) -> None:
    """Tell what is wrong with the nodes of a survey."""
    report.fact("nodes", ", ".join(f"{node.address} ({node.host}{f', {node.gpus} GPUs' if node.gpus else ''})" for node in found.nodes))
    for where, why in found.silent.items():
        report.error(
            f"node {where}",
            "could not be asked",
            evidence=[why],
            cause="toolrl or a package is missing there, or it cannot be reached",
            next="ray status; on that node: toolrl doctor",
        )
    _clocks(report, found)
    _versions(report, found)
    for node in found.nodes:
        _node(report, node)
    _links(report, found)


def _clocks(report: Report, found: Survey) -> None:
    if not found.nodes:
        return
    middle = statistics.median_low([node.seconds_ahead for node in found.nodes])
    report.fact("clocks", ", ".join(f"{node.address} {node.seconds_ahead:+.3f} s ± {node.seconds_about:.3f}" for node in found.nodes))
    for node in found.nodes:
        # Of two, nobody can say which is right: the one that is not this machine's is named.
        skew = node.seconds_ahead - (0.0 if len(found.nodes) == 2 else middle)
        if abs(skew) - node.seconds_about > SKEW_S:
            tell = report.error if abs(skew) > FAR_S else report.warning
            tell(
                f"clock of node {node.address}",
                f"is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}",
                evidence=[f"{node.host}: {node.seconds_ahead:+.3f} s from here, give or take {node.seconds_about:.3f} s"],
                cause="its time is not synchronised: log lines of several nodes cannot be ordered, tokens and certificates expire",
                next=f"on {node.host}: timedatectl; systemctl restart chronyd || systemctl restart systemd-timesyncd",
            )


def _versions(report: Report, found: Survey) -> None:
    same = []
    for name in dict.fromkeys(name for node in found.nodes for name in node.versions):
        have = {node.address: node.versions.get(name, "none") for node in found.nodes}
        (usual, _), *others = Counter(have.values()).most_common()
        if not others:
            same.append(f"{name} {usual}")
            continue
        odd = [where for where, value in have.items() if value != usual] if len(have) > 2 else list(have)
        report.error(
            f"{name} on {'node ' if len(odd) == 1 else 'nodes '}{', '.join(odd)}",
            f"nodes have other versions of {name}",
            evidence=[f"node {where}: {value}" for where, value in have.items()],
            cause="an image or environment that was not updated everywhere",
            next="install the same requirements/*.txt on every node, then ray stop and ray start there",
        )
    report.fact("on all nodes", ", ".join(same))


def _node(report: Report, node: NodeFacts) -> None:
    total, free = node.rooms.get(SHARED, (0, 0))
    disk = node.rooms.get(TEMPORARY, (0, 0))
    report.fact(f"node {node.address}", f"{size(free)} of {size(total)} shared memory free, {size(disk[1])} of disk")
    if total < OBJECT_STORE_BYTES:
        report.error(
            f"shared memory of node {node.address}",
            f"{SHARED} is too small: {size(total)}",
            evidence=[f"Ray keeps {size(OBJECT_STORE_BYTES)} of objects and more there; NCCL and vLLM use it too"],
            cause="a container's default of 64 MiB",
            next="docker run --shm-size=16g …; Kubernetes: an emptyDir with medium: Memory at /dev/shm",
        )
    if disk[1] < LOW_DISK_BYTES:
        tell = report.error if disk[1] < LEAST_DISK_BYTES else report.warning
        tell(
            f"disk of node {node.address}",
            f"{size(disk[1])} free below {TEMPORARY}",
            cause="Ray's logs and spilled objects, or what others left",
            next=f"on {node.host}: du -xh --max-depth=2 {TEMPORARY} | sort -h | tail",
        )
    if 0 <= node.open_files < LEAST_FILES:
        report.warning(
            f"open files of node {node.address}",
            f"a process may open {node.open_files}",
            cause="ulimit -n where Ray was started",
            next=f"on {node.host}: ulimit -n 65536 before ray start",
        )


def _links(report: Report, found: Survey) -> None:
    deaf = Counter(to for _, to, _ in found.unreachable)
    for to, count in deaf.items():
        callers = [(source, why) for source, target, why in found.unreachable if target == to]
        report.error(
            f"ports of node {to}",
            f"{count} other node{'s' if count > 1 else ''} cannot reach a port of it that is open",
            evidence=[f"from {source}: {why}" for source, why in callers],
            cause="a firewall or security group lets Ray's own ports through, and not those that learners, engines and pushes take",
            next=f"let the nodes reach every TCP port of each other; on {to}: iptables -S; nft list ruleset",
        )
    if found.failure:
        report.error(
            f"{found.collective} between the nodes",
            "an all-reduce failed",
            evidence=[found.failure],
            cause="the wrong network interface, or packets that are too large for a link",
            next="GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME=…; NCCL_DEBUG=INFO",
        )
    elif found.seconds:
        seconds, num = statistics.median(found.seconds), len(found.nodes)
        speed = 2 * (num - 1) / num * MEGABYTES * 2**20 / seconds
        report.fact("all-reduce", f"{found.collective}, {MEGABYTES} MiB over {num} nodes: {1e3 * seconds:.0f} ms, {speed / 1e6:,.0f} MB/s")
        if speed < SLOW_BYTES_PER_S:
            report.warning(
                "network",
                f"{speed / 1e6:.0f} MB/s between the nodes",
                evidence=[f"all-reduce of {MEGABYTES} MiB by {found.collective}"],
                cause="the wrong network interface, or one that others fill",
                next="ip -s link; GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME=…",
            )
