"""This machine before a run: disk, shared memory, memory, limits, temporary folder, hub cache, network."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from toolrl.pipelines.doctoring.findings import Report, size

GIB = 2**30
OBJECT_STORE_BYTES = 512 * 2**20
"""Shared memory that a local Ray takes for objects (`actors.cluster`)."""
LEAST_DISK_BYTES, LOW_DISK_BYTES = GIB // 4, 10 * GIB
"""A demo fits into the first; a checkpoint of a real model not into the second."""
LEAST_FILES, LEAST_MEMORY_BYTES = 4096, 2 * GIB
LONGEST_SOCKET = 107
"""Bytes of a socket's path that Linux takes, see unix(7)."""
_RAY_SOCKET = "ray-12345678/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""What a local cluster adds to the temporary folder."""
DASHBOARD, HEAD = 8265, 6379
"""Ports that Ray's head takes by default."""


@dataclass(frozen=True, slots=True)
class Room:
    """Space of a file system."""

    total: int
    free: int


def room_of(path: Path) -> Room | None:
    """Return the space where `path` is, or will be; None where that cannot be told."""
    try:
        found = shutil.disk_usage(_existing(path))
    except OSError:
        return None
    return Room(found.total, found.free) if found.total else None  # /proc and its like have none


def check_machine(report: Report, environment: Mapping[str, str], *, runs: Path, shared: Path = Path("/dev/shm")) -> None:
    """Look at this machine; runs will be written below `runs`."""
    check_disk(report, {"run folders": runs, "TMPDIR": Path(tempfile.gettempdir()), "hub cache": _hub(environment)})
    check_shared(report, room_of(shared), shared)
    _temporary(report, Path(tempfile.gettempdir()))
    _hub_cache(report, environment)
    _memory(report)
    _files(report)
    _network(report)


def check_disk(report: Report, places: Mapping[str, Path]) -> None:
    """Tell of file systems that are full or soon will be; one that holds several places is told once."""
    seen: set[int] = set()
    for name, path in places.items():
        if (room := room_of(path)) is None:
            continue
        device = _existing(path).stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = f"{size(room.free)} of {size(room.total)} free"
        evidence = [f"{path}: {free}"]
        report.fact(f"disk, {name}", f"{free} ({path})")
        if room.free < LEAST_DISK_BYTES:
            report.error(
                f"disk of {path}",
                f"full: {free}",
                evidence=evidence,
                cause="nothing can be written there: no checkpoint, no rollouts",
                next=f"du -xh --max-depth=2 {path} | sort -h | tail",
            )
        elif room.free < LOW_DISK_BYTES:
            report.warning(
                f"disk of {path}",
                f"nearly full: {free}",
                evidence=evidence,
                cause="a checkpoint of 7B parameters takes about 100 GB, of the demo 10 MB",
                next=f"du -xh --max-depth=2 {path} | sort -h | tail",
            )


def check_shared(report: Report, room: Room | None, path: Path) -> None:
    """Tell of shared memory that is too small for Ray's objects, and for what NCCL and vLLM keep in it."""
    if room is None:
        report.warning("shared memory", f"{path} is not there", cause="a system without it", next=f"mount -t tmpfs tmpfs {path}")
        return
    free = f"{size(room.free)} of {size(room.total)} free"
    report.fact("shared mem", free)
    if room.free < OBJECT_STORE_BYTES:
        cause = "a container's default of 64 MiB" if room.total < OBJECT_STORE_BYTES else "what other runs have left there, or hold"
        grow = "docker run --shm-size=16g …; Kubernetes: an emptyDir with medium: Memory at /dev/shm"
        report.error(
            "shared memory",
            f"{path} is too small: {free}",
            cause=cause,
            next=grow if room.total < OBJECT_STORE_BYTES else f"ls -lh {path}",
            evidence=[f"Ray keeps {size(OBJECT_STORE_BYTES)} of objects there; with less it takes a file on the disk, or stops"],
        )


def _temporary(report: Report, folder: Path) -> None:
    longest = len(os.fsencode(folder / _RAY_SOCKET))
    if longest > LONGEST_SOCKET:
        report.error(
            "TMPDIR",
            f"its path is {longest - LONGEST_SOCKET} bytes too long for the sockets of Ray",
            evidence=[str(folder)],
            cause=f"Linux takes {LONGEST_SOCKET} bytes, and Ray's sockets lie deep below it",
            next="export TMPDIR=/tmp",
        )
    if why := unwritable(folder):
        report.error(
            "TMPDIR", f"{folder} cannot be written", evidence=[why], cause="another user's, or read-only", next="export TMPDIR=/tmp"
        )


def unwritable(folder: Path) -> str:
    """Return why nothing can be written into a folder, which is made where it can be; an empty text where it can."""
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        if made:
            folder.rmdir()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _hub(environment: Mapping[str, str]) -> Path:
    home = environment.get("HF_HOME") or Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(environment.get("HF_HUB_CACHE") or Path(home) / "hub")


def _hub_cache(report: Report, environment: Mapping[str, str]) -> None:
    cache = _hub(environment)
    offline = [
        name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if environment.get(name, "").lower() in ("1", "true", "yes", "on")
    ]
    models = sorted(path.name.removeprefix("models--").replace("--", "/") for path in cache.glob("models--*")) if cache.is_dir() else []
    held = f"{len(models)} models" + (f" ({', '.join(models[:4])}{', …' if len(models) > 4 else ''})" if models else "")
    report.fact(
        "hub cache", f"{cache}: {held}; {'offline, by ' + ' and '.join(offline) if offline else 'asks the hub for what is missing'}"
    )
    why = unwritable(cache)
    if why and not offline:
        report.error(
            "hub cache",
            f"{cache} cannot be written, so no model can be fetched",
            evidence=[why],
            cause="HF_HOME or HF_HUB_CACHE names a place that is not yours, not there, or read-only",
            next="export HF_HOME=$HOME/.cache/huggingface",
        )
    elif why:
        report.note("hub cache", f"{cache} cannot be written", evidence=[why], cause="offline: nothing has to be", next="nothing to do")


def _memory(report: Report) -> None:
    here = psutil.virtual_memory()
    free, total = here.available, here.total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        limit, used = "max", 0
    if limit.isdigit():
        total, free = min(total, int(limit)), min(free, int(limit) - used)
    report.fact("memory", f"{size(free)} of {size(total)} free; {len(os.sched_getaffinity(0))} processors")
    if free < LEAST_MEMORY_BYTES:
        report.warning(
            "memory",
            f"{size(free)} of {size(total)} free",
            cause="other processes, or a container's limit",
            next="ps aux --sort=-rss | head",
            evidence=["the demo takes 6 GiB; the kernel kills who asks for more than there is"],
        )


def _files(report: Report) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    report.fact("open files", f"{soft} at most")
    if 0 <= soft < LEAST_FILES:
        report.warning(
            "open files",
            f"a process may open {soft}",
            cause=f"ulimit -n; Ray wants {LEAST_FILES} or more on a busy node",
            next=f"ulimit -n {min(hard, 65536) if hard > 0 else 65536}",
        )


def _network(report: Report) -> None:
    own = {"127.0.0.1": "loopback"}
    try:
        own.setdefault(socket.gethostbyname(socket.gethostname()), socket.gethostname())
    except OSError as error:
        report.warning(
            "hostname",
            f"{socket.gethostname()} has no address ({error})",
            cause="it is neither in DNS nor in /etc/hosts",
            next=f'echo "127.0.1.1 {socket.gethostname()}" | sudo tee -a /etc/hosts',
        )
    for address, name in own.items():
        if why := _unreachable(address):
            report.error(
                "network",
                f"this machine cannot reach its own {name} ({address})",
                evidence=[why],
                cause="a firewall, or an address that it does not have",
                next="ip addr; iptables -S",
            )
    taken = [f"{port} ({what})" for port, what in ((HEAD, "Ray's head"), (DASHBOARD, "its dashboard")) if _taken(port)]
    report.fact(
        "ports",
        f"{', '.join(own)} can be reached; {'taken: ' + ', '.join(taken) if taken else f'{HEAD} and {DASHBOARD} are free'}",
    )


def _unreachable(address: str) -> str:
    try:
        with socket.create_server((address, 0)) as server, socket.create_connection(server.getsockname(), timeout=2):
            return ""
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _existing(path: Path) -> Path:
    """Return `path`, or the innermost folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
